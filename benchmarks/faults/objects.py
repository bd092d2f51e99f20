"""Stores in folders and object stores, changed by somebody who knows nothing of tiledsim."""

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.processes import ROOT
from tiledsim.scheduler.store.files import LocalFiles, open_files

KEY_ID, SECRET = "AKIATILEDSIMTEST", "s3cr3t/tiledsim+test"


def delete(store: str) -> None:
    """Delete everything; what a task writes there meanwhile may stay."""
    files = open_files(store)
    if isinstance(files, LocalFiles):
        while files.folder.exists():  # tasks write into it meanwhile
            shutil.rmtree(files.folder, ignore_errors=True)
        return
    for key in list(files.keys("")):
        files.delete(key)


def move(store: str, target: str) -> None:
    """Rename a folder; copy and delete the keys of a prefix, as every program does."""
    files = open_files(store)
    if isinstance(files, LocalFiles):
        files.folder.rename(target)
        return
    import boto3

    service = boto3.client("s3")
    bucket, _, old = store.removeprefix("s3://").partition("/")
    new = target.removeprefix(f"s3://{bucket}/")
    for key in list(files.keys("")):
        service.copy_object(Bucket=bucket, Key=f"{new}/{key}",
                            CopySource={"Bucket": bucket, "Key": f"{old}/{key}"})  # fmt: skip
        files.delete(key)


def damage(store: str, draw: random.Random) -> None:
    """Change a byte in some of the files that a store has: shards, journal, scene."""
    files = open_files(store)
    kinds = ("image/c/", "run/journal/", "run/scene/", "pyramid/4/c/")
    for kind in draw.sample(kinds, draw.randint(1, 3)):
        keys = list(files.keys(kind))
        if not keys:
            continue
        key = draw.choice(keys)
        data = bytearray(files.read(key) or b"\0")
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        files.write(key, bytes(data), durable=False)


@contextmanager
def server(folder: Path) -> Iterator[dict[str, str]]:
    """Start moto's S3 with a bucket ``soak``; give the environment of its users."""
    import boto3

    folder.mkdir()
    command = [sys.executable, "-m", "tests.distributed.s3_server", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = f"http://127.0.0.1:{int(process.stdout.readline())}"
        environment = {
            "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }  # fmt: skip
        boto3.client(
            "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        ).create_bucket(Bucket="soak")  # fmt: skip
        yield environment
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

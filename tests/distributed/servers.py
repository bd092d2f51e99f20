"""``dask scheduler`` and ``dask worker`` on 127.0.0.1, in processes that their starters end."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.distributed.conftest import TESTS
from tests.distributed.forks import Fork

START_S = 60


@contextmanager
def process(*words: str | Path, **environment: str) -> Iterator[Fork]:
    """Run a command of Dask until the block ends."""
    server = Fork("dask.__main__", *words, PYTHONPATH=str(TESTS), **environment)
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def scheduler(file: Path, *options: str | Path) -> Iterator[str]:
    """Run a scheduler that writes its address into ``file``; give the address."""
    command = [
        "scheduler", "--host", "127.0.0.1", "--port", "0",
        "--dashboard-address", "127.0.0.1:0", "--scheduler-file", file, *options,
    ]  # fmt: skip
    with process(*command):
        yield address_in(file)


def address_in(file: Path) -> str:
    deadline = time.monotonic() + START_S
    while True:
        try:
            return str(json.loads(file.read_text())["address"])
        except (FileNotFoundError, ValueError):
            assert time.monotonic() < deadline, "the scheduler does not start"
            time.sleep(0.05)


@contextmanager
def workers(file: Path, count: int, *options: str | Path, **environment: str) -> Iterator[None]:
    """Run workers of the scheduler of ``file``; they join when they are ready."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(
                process(
                    "worker", "--scheduler-file", file, "--nthreads", "1",
                    "--dashboard-address", "127.0.0.1:0", "--host", "127.0.0.1", "--no-nanny",
                    *options, **environment,
                )
            )  # fmt: skip
        yield


@contextmanager
def scheduler_with_workers(folder: Path, count: int) -> Iterator[Path]:
    """Run a scheduler with workers; give its file."""
    file = folder / "scheduler.json"
    with scheduler(file), workers(file, count):
        yield file

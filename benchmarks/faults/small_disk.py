"""A file system that is small enough to be filled, where the machine allows one to be mounted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def small_disk(place: Path, mebibytes: int) -> Iterator[None]:
    """Mount a file system in memory on a folder."""
    size = f"size={mebibytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def why_no_mount(scratch: Path) -> str:
    """Say why this machine gives no small disk; empty if it does."""
    place = scratch / "trial"
    place.mkdir()
    try:
        with small_disk(place, 1):
            return ""
    except FileNotFoundError:
        return "no mount command"
    except subprocess.CalledProcessError as error:
        return f"mount ended with status {error.returncode}; it needs root"


def fill(filler: Path) -> None:
    """Take all room that a disk still has."""
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)

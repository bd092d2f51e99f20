"""The file of a picture: checked before anything is read, written whole or not at all."""

import importlib.util
from pathlib import Path

from tiledsim.errors import BackendError, StoreError


def check_target(output: Path, *, overwrite: bool) -> None:
    """Raise StoreError for a file that cannot be made, BackendError where Pillow is missing."""
    if output.suffix.lower() != ".png":
        raise StoreError(f"{output}: pictures are PNG files; give a name that ends in .png")
    if not output.absolute().parent.is_dir():
        raise StoreError(f"{output.parent} is no folder; make it, or write elsewhere")
    if output.is_dir():
        raise StoreError(f"{output} is a folder; give the name of a file")
    if importlib.util.find_spec("PIL") is None:
        raise BackendError('pictures need Pillow: pip install "tiledsim[view]"')
    if output.exists() and not overwrite:
        raise StoreError(f"{output} exists; `overwrite` it, or give another name")


def put(target: Path, data: bytes) -> None:
    """Write a file under its name when it is whole."""
    made = target.with_name(f".{target.name}.partial")
    try:
        made.write_bytes(data)
        made.replace(target)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise StoreError(f"{target}: cannot be written: {error.strerror}") from None

"""Output files that appear whole, all together, or not at all."""

import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tiledsim.errors import StoreError


def check_outputs(outputs: Mapping[str, Path | None]) -> None:
    """Find out before anything is computed whether the files of some flags can be written.

    Raises StoreError for a folder that is missing or cannot be written, for a name that is a
    folder, and for one name under two flags.
    """
    seen: dict[Path, str] = {}
    for flag, file in outputs.items():
        if file is None:
            continue
        target = file.resolve()
        if is_device(target):
            continue
        if target.is_dir() or not target.parent.is_dir():
            raise StoreError(f"{flag} {file}: cannot be written; its folder must exist")
        if target in seen:
            raise StoreError(f"{flag} {file}: {seen[target]} names the same file; give another")
        seen[target] = flag
        forbidden = target.exists() and not os.access(target, os.W_OK)
        if forbidden or not os.access(target.parent, os.W_OK | os.X_OK):
            what = "it" if forbidden else "its folder"
            raise StoreError(f"{flag} {file}: cannot be written; {what} may not be written to")


def is_device(target: Path) -> bool:
    """Whether a name is a pipe or a device such as /dev/null, which must not be replaced."""
    with suppress(OSError):
        mode = target.stat().st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    return False


class OutputFiles:
    """Files that are being written beside their final names; a block that ends well renames them.

    A pipe or a device is written at once.
    """

    def __init__(self) -> None:
        self._made: list[tuple[Path, Path, BinaryIO]] = []
        self._direct: list[BinaryIO] = []
        self._adopted: list[tuple[Path, Path]] = []

    def adopt(self, made: Path, file: Path) -> None:
        """Let a finished file take a name at the end; both are on one disk."""
        target = file.resolve()
        if is_device(target):
            with made.open("rb") as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
        else:
            self._adopted.append((made, target))

    def open(self, file: Path) -> BinaryIO:
        """Open a file for writing.  Raises StoreError where that is not possible."""
        target = file.resolve()
        try:
            if is_device(target):
                out: BinaryIO = target.open("wb")
                self._direct.append(out)
                return out
            part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
            out = part.open("wb")
        except OSError as error:
            raise StoreError(f"{file}: cannot be written: {error.strerror}") from None
        self._made.append((part, target, out))
        return out

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            _close([*self._direct, *(out for _, _, out in self._made)])
            if error is None:
                made = [(part, target) for part, target, _ in self._made]
                for part, target in [*made, *self._adopted]:
                    os.replace(part, target)
        except OSError as failure:
            raise StoreError(f"an output cannot be written: {failure.strerror}") from None
        finally:
            for part, _, _ in self._made:
                part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, StoreError):
            raise StoreError(f"an output cannot be written: {error.strerror}") from None


def _close(files: Iterable[BinaryIO]) -> None:
    for file in files:
        file.close()

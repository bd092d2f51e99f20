"""Where the files of an export wait until all are there: a hidden folder beside them."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from tiledsim.errors import StoreError

ABOUT = "export.json"


class WorkFolder:
    """The folder of one export.  Finished files have their names in it, others end in .partial."""

    def __init__(self, output: Path) -> None:
        self.target = output.parent
        self.path = output.parent / f".{output.name}.export"

    def begin(self, about: dict[str, object], *, resume: bool) -> set[str]:
        """Make the folder, and return the names that are finished in it.

        ``about`` identifies the export; what another one has left is thrown away.  Raises
        StoreError for a place where nothing can be made.
        """
        text = json.dumps(about, sort_keys=True)
        try:
            kept = self.path.is_dir() and (self.path / ABOUT).read_text() == text
        except OSError:
            kept = False
        try:
            if not (kept and resume):
                self.remove()
                self.path.mkdir(parents=True)
                (self.path / ABOUT).write_text(text)
        except OSError as error:
            raise StoreError(f"{self.target}: cannot be written: {error.strerror}") from None
        return {path.name for path in self.path.iterdir() if path.suffix != ".partial"} - {ABOUT}

    def partial(self, name: str) -> Path:
        """Return where a file is made."""
        return self.path / f"{name}.partial"

    def finish(self, name: str) -> None:
        """Give a file its name in the folder, when its bytes are on the disk."""
        made = self.partial(name)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(made, self.path / name)

    def publish(self, names: Iterable[str]) -> None:
        """Give files their names in the target, the last one last, and remove the folder."""
        for name in names:
            os.replace(self.path / name, self.target / name)
        self.remove()

    def drop_partial(self) -> None:
        """Remove what was not finished."""
        with contextlib.suppress(OSError):
            for path in self.path.glob("*.partial"):
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

"""Names of numbered files."""

import re
from pathlib import Path


def numbered(path: Path, number: int, count: int) -> Path:
    """Return the name of file ``number`` (from 1) of ``count``: a_00001.cbf of a.cbf.

    At least four digits, because programs make a template of them.  A single file keeps its name.
    """
    if count == 1:
        return path
    digits = max(4, len(str(count)))
    return path.with_name(f"{path.stem}_{number:0{digits}d}{path.suffix}")


def has_number(path: Path) -> bool:
    """Whether a file's name has the digits that processing programs look for."""
    return re.search(r"\d+$", path.stem) is not None

"""Where the reference results are: a dozen small ones in tests/golden, all beside the checkout."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TESTS = Path(__file__).resolve().parents[1]
SHARED = TESTS.parents[1] / "shared"
COPIED = TESTS / "golden"


@dataclass(frozen=True)
class Case:
    """One run of nanoBragg.c."""

    name: str
    argv: tuple[str, ...]
    folder: Path

    @property
    def inputs(self) -> Path:
        """The folder that the run's file names refer to."""
        return self.folder / "inputs"

    def image(self) -> NDArray[np.float64]:
        """The float image that nanoBragg wrote [slow, fast]."""
        return np.load(self.folder / f"{self.name}.npz")["image"].astype(np.float64)

    def __str__(self) -> str:
        return self.name


def _cases(folder: Path) -> dict[str, Case]:
    listing = folder / "cases.json"
    if not listing.is_file():
        return {}
    entries = json.loads(listing.read_text())
    return {e["name"]: Case(e["name"], tuple(e["flags"].split()), folder) for e in entries}


CASES = list((_cases(COPIED) | _cases(SHARED / "golden")).values())
"""All cases at hand; the copies where the whole set is absent."""

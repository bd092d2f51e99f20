"""Journals of stores, read and shortened by hand."""

from dataclasses import replace
from pathlib import Path

from tiledsim.scheduler.part import Part


def parts_of(store: Path) -> list[Path]:
    """The files of a store's journal, in their order."""
    return sorted((store / "run" / "journal").glob("*.npz"))


def recorded(store: Path) -> int:
    """How many records a journal holds."""
    return sum(len(Part.decode(part.read_bytes()).rows) for part in parts_of(store))


def keep_first(store: Path, records: int) -> None:
    """Shorten a journal of one file to its first records."""
    (path,) = parts_of(store)
    part = Part.decode(path.read_bytes())
    path.write_bytes(replace(part, rows=part.rows[:records]).encode())

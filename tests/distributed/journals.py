"""Journals of stores, read and written by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.journal_file import Part, Session
from tiledsim.scheduler.journal.tile_record import TileRecord


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


def write_journal(files: Any, records: Sequence[TileRecord]) -> None:
    """Write records as the journal of a session would have them."""
    journal = Journal(files)
    journal.append(records, [], Session(journal.mark, "2026-01-01", 1.0, 1, 1, 0, {}))

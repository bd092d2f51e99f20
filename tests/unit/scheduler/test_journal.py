"""The journal: what is appended is read, whatever happens in between; damage is refused."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.memory_files import MemoryFiles
from tiledsim.errors import StoreError
from tiledsim.scheduler.journal import journal as journal_module
from tiledsim.scheduler.journal import record_table as table
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.journal_file import Part, Session
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.tile_record import TileFailure, TileRecord
from tiledsim.scheduler.store.files import LocalFiles

ROOT = Path(__file__).resolve().parents[3]


def record(index: int, **values: Any) -> TileRecord:
    """A record that tells its tile."""
    return TileRecord(
        **{"index": index, "attempt": 1, "worker": f"w{index % 3}", "render_seconds": 0.5,
           "write_seconds": 0.25, "inside": 10, "rendered": 9, "total": 1.5 * index,
           "total_sqr": 2.5 * index, "spread": 0.125, "maximum": 3.0, "maximum_slow": index,
           "maximum_fast": 1, "crc32": 0xFFFFFFFF - index, "ranges": {"omega_min": 0.5}} | values
    )  # fmt: skip


def session(journal: Journal, **values: Any) -> Session:
    """A session that lost nothing."""
    return Session(
        **{"mark": journal.mark, "started": "2026-01-01T00:00:00+00:00", "seconds": 1.0,
           "workers": 2, "threads": 2, "lost_workers": 0, "present": {"w0": 1.0}} | values
    )  # fmt: skip


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of few records and portions of few tiles, so that there are many."""
    monkeypatch.setattr(journal_module, "SEALED_ROWS", 6)
    monkeypatch.setattr(table, "PORTION_TILES", 5)


@pytest.mark.usefixtures("small_parts")
def test_what_is_appended_is_read_in_tile_order() -> None:
    files = MemoryFiles()
    order = [int(i) for i in np.random.default_rng(1).permutation(23)]
    first, second = Journal(files), Journal(files)
    for start in range(0, 12, 4):
        first.append([record(i) for i in order[start : start + 4]], [], session(first))
    for index in order[12:]:
        second.append([record(index)], [], session(second))
    records = Records(Journal(files), 30)
    assert list(records) == sorted(order)
    assert [records[i] for i in records] == [record(i) for i in sorted(order)]
    rows = np.concatenate(list(records.portions()))
    assert rows["index"].tolist() == sorted(order)
    assert len(records) == 23
    assert 25 not in records
    with pytest.raises(KeyError):
        records[25]
    assert [tiles for _, tiles, _ in records.sessions] == [12, 11]
    assert len(files.content) == 4


def test_the_newest_file_grows_and_full_ones_are_left_alone(small_parts: None) -> None:
    files, written = MemoryFiles(), []
    journal = Journal(files)
    for index in range(20):
        before = dict(files.content)
        journal.append([record(index)], [], session(journal))
        written.append([key for key in files.content if files.content[key] != before.get(key)])
    assert all(len(keys) == 1 for keys in written)
    assert len(files.content) == 4


def test_the_first_record_of_a_tile_counts() -> None:
    files = MemoryFiles()
    first, second = Journal(files), Journal(files)
    first.append([record(4, total=1.0), record(4, total=2.0)], [], session(first))
    second.append([record(4, total=3.0), record(5)], [], session(second))
    records = Records(second, 9)
    assert records[4].total == 1.0
    assert [tiles for _, tiles, _ in records.sessions] == [1, 1]


def test_records_that_are_taken_back_can_be_given_again() -> None:
    files = MemoryFiles()
    journal = Journal(files)
    journal.append([record(i, total=1.0) for i in range(5)], [], session(journal))
    Journal(files).drop([1, 3])
    assert list(Records(journal, 5)) == [0, 2, 4]
    again = Journal(files)
    again.append([record(3, total=2.0)], [], session(again))
    records = Records(again, 5)
    assert list(records) == [0, 2, 3, 4]
    assert records[3].total == 2.0
    assert records.given == 6
    assert [tiles for _, tiles, _ in records.sessions] == [5, 1]


def test_what_failed_and_who_was_lost_is_kept() -> None:
    files = MemoryFiles()
    first, second = Journal(files), Journal(files)
    first.append([], [TileFailure(2, 1, "w9", "OSError: full")], session(first))
    first.append([record(1)], [TileFailure(2, 2, "?", "x" * 999)], session(first, lost_workers=2))
    second.append([record(2)], [], session(second))
    records = Records(second, 3)
    assert records.failed_tiles.tolist() == [2, 2]
    assert records.workers == ("?", "w1", "w2", "w9")
    (told, tiles, failed), (_, _, none) = records.sessions
    assert (told.lost_workers, tiles, failed, none) == (2, 1, 2, 0)


def test_a_write_that_fails_loses_nothing_and_counts_nothing_twice() -> None:
    files = MemoryFiles()
    journal = Journal(files)
    journal.append([record(0)], [], session(journal))
    files.failing = 1
    with pytest.raises(OSError, match="No space"):
        journal.append([record(1)], [TileFailure(5, 1, "w", "e")], session(journal))
    assert list(Records(journal, 6)) == [0]
    journal.append([record(1)], [TileFailure(5, 1, "w", "e")], session(journal))
    records = Records(journal, 6)
    assert list(records) == [0, 1]
    assert records.failed_tiles.tolist() == [5]
    assert records.given == 2


WRITER = """
import sys
from pathlib import Path
from tests.unit.scheduler.test_journal import record, session
from tiledsim.scheduler.journal import journal
from tiledsim.scheduler.store.files import LocalFiles
journal.SEALED_ROWS = 20
made = journal.Journal(LocalFiles(Path(sys.argv[1])))
for index in range(100_000):
    made.append([record(index)], [], session(made))
    print(index, flush=True)
"""


@pytest.mark.parametrize("after", [1, 19, 20, 57])
def test_a_writer_that_is_killed_leaves_all_that_it_had_appended(
    tmp_path: Path, after: int
) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) + 1 >= after:
            writer.kill()
            break
    said = [*range(after), *map(int, writer.stdout.read().split())]
    writer.wait()
    records = list(Records(Journal(LocalFiles(tmp_path)), 100_000))
    assert records in (said, [*said, len(said)])


def test_two_drivers_never_write_the_same_file() -> None:
    files = MemoryFiles()
    first, second = Journal(files), Journal(files)
    first.append([record(0)], [], session(first))
    second.append([record(1)], [], session(second))
    first.append([record(2)], [], session(first))
    assert list(Records(second, 3)) == [0, 1, 2]


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_does_not_matter(place: int, change: int) -> None:
    part = Part(
        session=Session("ab", "now", 1.0, 1, 1, 0, {"w": 1.0}),
        workers=("w",),
        rows=journal_module.pack([record(i, worker="w") for i in range(3)], []),
    )
    data = bytearray(part.encode())
    data[place % len(data)] ^= change
    try:
        read = Part.decode(bytes(data))
    except ValueError:
        return
    assert (read.session, read.workers) == (part.session, part.workers)
    assert read.rows.tobytes() == part.rows.tobytes()


@pytest.mark.parametrize(
    ("name", "value"),
    [("index", -1), ("attempt", 0), ("worker", 1), ("worker", -1), ("render_seconds", np.nan),
     ("write_seconds", -1.0), ("rendered", 11), ("inside", -1), ("total", np.inf),
     ("crc32", 1 << 32), ("maximum", np.nan), ("omega_max", np.inf), ("maximum_slow", -2)],
)  # fmt: skip
def test_rows_that_no_tile_can_have_are_refused(name: str, value: float) -> None:
    rows = journal_module.pack([record(0, worker="w"), record(1, worker="w")], [])
    rows[name][1] = value
    with pytest.raises(ValueError, match=name):
        Part.decode(Part(workers=("w",), rows=rows).encode())


@pytest.mark.parametrize("tables", [{"rows": np.zeros(3)}, {"failures": np.zeros(1)},
                                    {"dropped": np.zeros(1)}])  # fmt: skip
def test_tables_of_other_columns_are_refused(tables: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no list|other columns"):
        Part.decode(replace(Part(), **tables).encode())


def test_what_is_refused_names_the_file() -> None:
    files = MemoryFiles()
    journal = Journal(files)
    journal.append([record(7)], [], session(journal))
    (key,) = files.content
    with pytest.raises(StoreError, match=rf"{key}: tile 7 of a run of 5 tiles"):
        Records(journal, 5)
    files.content[key] = files.content[key][:-40]
    with pytest.raises(StoreError, match=rf"{key}: the journal is damaged: .*`repair`"):
        Records(journal, 9)
    files.content = {"run/journal/00000000.jsonl": b"[]\n"}
    with pytest.raises(StoreError, match="an earlier tiledsim"):
        Records(journal, 9)

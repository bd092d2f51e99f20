"""What a trace consists of."""

from typing import NamedTuple

Value = float | int | tuple[float, ...]


class Entry(NamedTuple):
    """One line of a trace."""

    key: str
    value: Value
    unit: str
    meaning: str

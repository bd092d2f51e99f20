"""One value of a description, with its unit and its reason."""

from dataclasses import dataclass

Value = str | float | int | list[float] | list[int]


@dataclass(frozen=True)
class Fact:
    """One value with its unit and, where it was chosen rather than given, why."""

    name: str
    value: Value
    unit: str = ""
    why: str = ""


Description = dict[str, list[Fact]]
"""Facts by section."""

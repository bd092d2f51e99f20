"""Numbers as files of this field write them.

Python's own reading takes more: ``1_0`` for ten, digits of every script, and whole numbers of any
length, in a time that grows with its square.
"""

import re
from typing import Final

_NUMBER: Final = re.compile(
    r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?(?:inf(?:inity)?|nan)",
    re.IGNORECASE,
)
_WHOLE: Final = re.compile(r"[-+]?[0-9]{1,18}")
_LONGEST: Final = 400


def plain_float(word: str) -> float:
    """Return the number that a word is; ValueError where it is none."""
    if len(word) > _LONGEST or not _NUMBER.fullmatch(word):
        raise ValueError(f"{_shown(word)} is no number")
    return float(word)


def plain_int(word: str) -> int:
    """Return the whole number (at most 18 digits) that a word is; ValueError where it is none."""
    if not _WHOLE.fullmatch(word):
        raise ValueError(f"{_shown(word)} is no whole number")
    return int(word)


def _shown(word: str) -> str:
    return repr(word if len(word) <= 40 else f"{word[:39]}…")

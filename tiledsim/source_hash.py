"""Which kernels these are: a hash of all their sources."""

import hashlib
from functools import lru_cache
from pathlib import Path

PIXELS = ("kernels", "detector_model")
"""The rooms whose functions determine pixels."""


@lru_cache(maxsize=2)
def source_hash(rooms: tuple[str, ...] = PIXELS) -> str:
    """Return 16 hexadecimal digits that change with any source in some rooms of the package, or
    with files of it.

    Numba notices a change of a function, not of those that it calls in other files; and pixels
    may change with a kernel though no version does.
    """
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for room in rooms:
        place = package / room
        for source in [place] if place.is_file() else sorted(place.rglob("*")):
            if source.suffix in (".py", ".cu"):
                digest.update(source.read_bytes())
    return digest.hexdigest()[:16]

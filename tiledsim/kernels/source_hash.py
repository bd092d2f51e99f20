"""Which kernels these are: a hash of all their sources."""

import hashlib
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def source_hash() -> str:
    """Return 16 hexadecimal digits that change with any source of a kernel or a detector model.

    Numba notices a change of a function, not of those that it calls in other files; and pixels
    may change with a kernel though no version does.
    """
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for room in ("kernels", "detector_model"):
        for source in sorted((package / room).rglob("*")):
            if source.suffix in (".py", ".cu"):
                digest.update(source.read_bytes())
    return digest.hexdigest()[:16]

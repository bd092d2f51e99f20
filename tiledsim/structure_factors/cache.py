"""Sums over atoms kept on disk: a campaign asks for the same ones a thousand times."""

import hashlib
import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from platformdirs import user_cache_path

from tiledsim.structure_factors.coordinates import CUTOFF, RATE, AtomSums

LARGEST_CACHE: Final = 2 * 2**30
"""Bytes above which the files not read for longest are removed."""
_VERSION: Final = 2


def folder() -> Path:
    """Return the folder of the cache, that of the platform for caches."""
    return user_cache_path("tiledsim") / "structure-factors"


def key_of(data: bytes, *settings: object) -> str:
    """Return the name of a result: a hash of the file's content and of everything that matters."""
    text = json.dumps([_VERSION, version("gemmi"), RATE, CUTOFF, *settings])
    return hashlib.sha256(hashlib.sha256(data).digest() + text.encode()).hexdigest()


def recall(key: str) -> AtomSums | None:
    """Return what was kept under a key; None where that is nothing, or damaged."""
    path = folder() / f"{key}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            sums = AtomSums(
                kept["hkl"], kept["F0"], tuple(str(e) for e in kept["elements"]), kept["partial"]
            )
        os.utime(path)
    except Exception:  # a damaged archive raises whatever its damage leads to
        return None
    n = len(sums.hkl)
    whole = sums.hkl.shape == (n, 3) and sums.F0.shape == (n,)
    return sums if whole and sums.partial.shape == (len(sums.elements), n) else None


def keep(key: str, sums: AtomSums) -> None:
    """Write a result, whole or not at all; where the folder can't be written nothing is kept."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder(), suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, hkl=sums.hkl, F0=sums.F0, partial=sums.partial,
                         elements=np.array(sums.elements))  # fmt: skip
            os.replace(name, folder() / f"{key}.npz")
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _prune()
    except OSError:
        return


def _prune() -> None:
    files = sorted(folder().glob("*.npz"), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in files)
    for path in files[:-1]:
        if total <= LARGEST_CACHE:
            return
        total -= path.stat().st_size
        path.unlink(missing_ok=True)

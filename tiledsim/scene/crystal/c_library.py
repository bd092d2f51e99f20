"""The C library's float32 power, which decides the last bit of nanoBragg's mosaic rotations."""

import ctypes
import ctypes.util
import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np


def powf(base: float, exponent: float) -> float:
    """Return base**exponent of two numbers rounded to float32, as C's ``powf`` rounds it.

    Where the C library cannot be called (:func:`has_powf`), float64 ``pow`` is rounded to float32:
    with glibc's that differs in 0.07 % of the draws, by one unit in the last place.
    """
    function = _powf()
    if function is not None:
        return function(base, exponent)
    return float(np.float32(math.pow(float(np.float32(base)), float(np.float32(exponent)))))


def has_powf() -> bool:
    """Whether the C library's ``powf`` is called."""
    return _powf() is not None


@lru_cache(maxsize=1)
def _powf() -> Callable[[float, float], float] | None:
    for name in (ctypes.util.find_library("m"), "ucrtbase", None):
        try:
            function = ctypes.CDLL(name).powf
        except (OSError, AttributeError, TypeError):
            continue
        function.argtypes, function.restype = (ctypes.c_float, ctypes.c_float), ctypes.c_float
        if function(8.0, 1.0) == 8.0:  # a calling convention that this process shares
            return lambda base, exponent: float(function(base, exponent))
    return None

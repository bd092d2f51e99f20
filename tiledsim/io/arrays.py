"""Read the ``.npy`` files that people hand in.

NumPy evaluates the header of such a file as a Python expression, and makes an array of the size it
names before a number is read.  What a damaged header can raise there is neither documented nor
bounded, so that everything raised is taken for the file's fault.
"""

import io
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.io.printable import one_line
from tiledsim.io.text import file_size, read_bytes

LARGEST_ARRAY: Final = 8 << 30
"""Bytes of an array that is read whole."""


def read_npy(path: Path, what: str, largest: int = LARGEST_ARRAY) -> NDArray[Any]:
    """Return the array of a ``.npy`` file; ``what`` says what it should hold, for messages.

    Raises InputFileError for what :func:`tiledsim.io.text.read_bytes` refuses, for a file that is
    no array of plain numbers, and for one that is shorter or longer than its header says.
    """
    data = read_bytes(path, what, largest)
    stream = io.BytesIO(data)
    try:
        _check_size(stream, len(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers that need a second look
            return np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:
        raise _refusal(path, what, error) from None


def map_npy(path: Path, what: str) -> NDArray[Any]:
    """Return the array of a ``.npy`` file mapped into memory, read-only; errors as read_npy."""
    size = file_size(path, what)
    try:
        with path.open("rb") as file:
            _check_size(file, size)
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:
        raise _refusal(path, what, error) from None


def _check_size(stream: Any, size: int) -> None:
    """Hold the size that the header names against the size of the file, before memory is taken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
        else:
            raise ValueError(f"version {version[0]}.{version[1]} of the format is not read")
    if dtype.hasobject:
        raise ValueError("it holds Python objects, not numbers")
    needed = dtype.itemsize
    for side in shape:
        if side < 0:
            raise ValueError(f"its header names a side of {side}")
        needed *= int(side)
    if needed != size - stream.tell():
        raise ValueError(
            f"its header names {needed:,} bytes of data, the file has {size - stream.tell():,}"
        )
    stream.seek(0)


def _refusal(path: Path, what: str, error: Exception) -> InputFileError:
    said = one_line(str(error) or type(error).__name__, 200)
    return InputFileError(f"{path}: cannot be read as {what}, a .npy file: {said}")

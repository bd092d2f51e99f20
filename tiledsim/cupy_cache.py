"""Where CuPy keeps its compiled kernels; a module of its own because it must be quick to import."""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path


def choose_cache_folder() -> None:
    """Give CuPy a folder for its kernels that can be written, before anything imports it.

    CuPy makes the folder when it is imported, and zarr imports CuPy where it is installed: without
    a home that can be written every run would end there, those on the processor too.  The kernels
    then are compiled in memory, and the folder stays empty.
    """
    if "cupy" in sys.modules or importlib.util.find_spec("cupy") is None:
        return  # too late, or not needed
    named = os.environ.get("CUPY_CACHE_DIR")
    folder = Path(named) if named else Path("~/.cupy/kernel_cache").expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        os.environ["CUPY_CACHE_IN_MEMORY"] = "1"
        os.environ["CUPY_CACHE_DIR"] = tempfile.gettempdir()

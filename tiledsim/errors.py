"""The errors that tiledsim raises.

Each is also the builtin that people expect to catch.  A message says what was given, what is
allowed and what to do; the command line prints it without a traceback.
"""


class TiledsimError(Exception):
    """Base of every error that tiledsim raises on purpose."""


class ExperimentError(TiledsimError, ValueError):
    """A description of an experiment that cannot be simulated."""


class InputFileError(ExperimentError):
    """A file that is missing, unreadable or malformed."""


class OptionError(TiledsimError, ValueError):
    """An option of a run that is wrong, or that another one excludes."""


class StoreError(TiledsimError, OSError):
    """A Zarr store that cannot be created, opened or continued."""


class BackendError(TiledsimError, RuntimeError):
    """A kernel that is not available, or that failed."""


class RunError(TiledsimError, RuntimeError):
    """A run that started and did not finish."""

"""The names of files as people write them."""

from pathlib import Path

from tiledsim.errors import InputFileError


def user_path(path: str | Path) -> Path:
    """Return a path with ``~`` and ``~name`` at its start replaced by the home they stand for.

    Raises InputFileError for a user that does not exist.
    """
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError) as error:
        raise InputFileError(
            f"{str(path)[:80]}: its ~ stands for no home folder; write the path out ({error})"
        ) from None

"""Can workers be started from this process?  Otherwise it would hang, or fail in pages of text."""

import ast
import math
import os
import sys
from types import FrameType

from tiledsim.errors import BackendError

FILES_FIRST = 64
FILES_EACH = 16
"""Open files that a run needs, and each worker process beside them."""


class _Forks:
    """Whether this process is a fork of one that had made a run."""

    has_run = False
    is_fork = False

    @classmethod
    def noted(cls) -> None:
        cls.is_fork = cls.is_fork or cls.has_run


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Forks.noted)


def check_this_process(processes: int) -> None:
    """Raise BackendError where workers cannot be started from here.

    Parameters
    ----------
    processes
        Worker processes that are to be started; 0 for threads of this one.
    """
    if _Forks.is_fork:
        raise BackendError(
            "this process is a fork of one that has made a run, whose threads it does not have; "
            "start it with multiprocessing's 'spawn'"
        )
    _Forks.has_run = True
    allow_files(FILES_FIRST + FILES_EACH * processes)
    if not processes:
        return
    import multiprocessing

    if multiprocessing.current_process().daemon:
        raise BackendError(
            "this process is itself a worker's, which cannot start others; leave `workers` out, or "
            "give the client whose workers are to render"
        )
    if line := _unguarded_line():
        raise BackendError(
            f"{line}: worker processes import this script and would start the run again; put what "
            'it does below the line  if __name__ == "__main__":'
        )


def allow_files(needed: int) -> None:
    """Raise the limit of open files to what is needed, or say how, in a BackendError."""
    limits = _limits()
    if limits is None:
        return
    soft, hard = limits
    if soft >= needed:
        return
    if hard < needed:
        raise BackendError(
            f"this process may open {hard:.0f} files, the run needs {needed}; raise the limit "
            f"(ulimit -n {needed}) or give fewer `workers`"
        )
    _set_soft_limit(needed)


def allow_all_files() -> None:
    """Raise the limit of open files to all that may be had."""
    limits = _limits()
    if limits is not None and limits[0] < limits[1] < math.inf:
        _set_soft_limit(int(limits[1]))


def _limits() -> tuple[float, float] | None:
    """Return how many files may be open, and how far that may be raised; None if not known."""
    try:
        import resource
    except ImportError:  # not on this system
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    without = resource.RLIM_INFINITY
    return (math.inf if soft == without else soft, math.inf if hard == without else hard)


def _set_soft_limit(files: int) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def _unguarded_line() -> str:
    """Return the line of the main script that runs this whenever it is imported; else nothing."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            break
        frame = frame.f_back
    if frame is None or "__file__" not in frame.f_globals:
        return ""
    file, number = frame.f_code.co_filename, frame.f_lineno
    try:
        with open(file, "rb") as script:
            tree = ast.parse(script.read())
    except (OSError, SyntaxError, ValueError):
        return ""
    for node in tree.body:
        if node.lineno <= number <= (node.end_lineno or node.lineno):
            guarded = isinstance(node, ast.If) and "__name__" in ast.dump(node.test)
            return "" if guarded else f"{file}, line {number}"
    return ""

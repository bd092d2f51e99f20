"""Commands in processes of their own that are there at once, for tests that need many of them.

``python -m MODULE`` spends one to three seconds on imports and on loading the kernel.  These
processes are forks of one that has done so; each has the arguments, the environment, the working
directory and the output files of a command, and ends with its status.  Tests of signals, of limits
of a process and of what a command imports start real ones.
"""

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import dask

from tests.distributed.conftest import TESTS

TIMEOUT_S = 600


def _begin(
    module: str, words: list[str], environment: dict[str, str], folder: str, outputs: list[str]
) -> None:
    """Become a command.  In the new process."""
    for number, file in zip((1, 2), outputs, strict=True):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None
    sys.argv = [module, *words]
    dask.config.refresh()
    importlib.import_module(module).main()


class Fork:
    """A command that runs; used as :class:`subprocess.Popen` is."""

    def __init__(
        self, module: str, *words: str | Path, cwd: Path | None = None, **environment: str
    ) -> None:
        self.args = [module, *map(str, words)]
        self._scratch = tempfile.TemporaryDirectory()
        outputs = [str(Path(self._scratch.name) / name) for name in ("out", "err")]
        self._outputs = [Path(output) for output in outputs]
        self._process = _context().Process(
            target=_begin,
            args=(module, self.args[1:], os.environ | environment, str(cwd or Path.cwd()), outputs),
        )  # fmt: skip
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        out, err = (f.read_text() if f.exists() else "" for f in self._outputs)
        self._scratch.cleanup()
        return out, err

    def terminate(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.distributed.imported"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(TESTS)  # for the one that is forked from; it starts once
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return context


def tiledsim(
    *words: str | Path, cwd: Path | None = None, module: str = "tiledsim.cli.main"
) -> subprocess.CompletedProcess[str]:
    """Run ``tiledsim WORDS`` and return what it said and its exit status."""
    command = Fork(module, *words, cwd=cwd)
    try:
        out, err = command.communicate(TIMEOUT_S)
    finally:
        command.kill()
    assert command.returncode is not None
    return subprocess.CompletedProcess(command.args, command.returncode, out, err)


def slow_tiledsim(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Do the same with tiles that take as long as the folder of faults says."""
    return tiledsim(*words, module="tests.distributed.slow_command")


def refusal(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must be refused as bad input, and return its one line."""
    done = tiledsim(*words, cwd=cwd)
    assert done.returncode == 2, done
    errors = [line for line in done.stderr.splitlines() if "note:" not in line]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("tiledsim: error: ")
    return errors[0].removeprefix("tiledsim: error: ")

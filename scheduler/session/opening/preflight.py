"""What is asked of workers before anything is written: who they are, and what they can see.

The first questions are functions of Python itself: a worker without tiledsim can answer them.
"""

import contextlib
import importlib.metadata
import os
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from tiledsim import __version__
from tiledsim.errors import BackendError, StoreError
from tiledsim.kernels import choose_backend_name, get_backend
from tiledsim.kernels.devices import cuda_status
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files, LocalFiles

WHICH_PYTHON = "(__import__('platform').python_version(), __import__('sys').executable)"
"""For a worker to evaluate."""


def check_workers(client: Any) -> None:
    """Raise BackendError if a worker has no tiledsim, not this version, or another Python."""
    answers = client.run(importlib.metadata.version, "tiledsim", on_error="return")
    pythons = client.run(eval, WHICH_PYTHON, on_error="return")
    wrong = {
        worker: answer if isinstance(answer, str) else None
        for worker, answer in answers.items()
        if answer != __version__
    }
    if not wrong:
        _check_pythons(pythons)
        return
    counted = Counter(wrong.values())
    what = ", ".join(
        f"{count} of {len(answers)} worker(s) have {f'tiledsim {name}' if name else 'no tiledsim'}"
        for name, count in sorted(counted.items(), key=lambda pair: str(pair[0]))
    )
    raise BackendError(
        f"{what} (such as {min(wrong)}, {_about(pythons.get(min(wrong)))}), this is {__version__}; "
        "install the same everywhere"
    )


def _check_pythons(pythons: dict[str, Any]) -> None:
    """Raise BackendError for a worker whose Python is another minor version."""
    here = ".".join(map(str, sys.version_info[:2]))
    for worker, answer in sorted(pythons.items()):
        if isinstance(answer, tuple) and not f"{answer[0]}.".startswith(f"{here}."):
            raise BackendError(
                f"worker {worker} runs {_about(answer)}, this is Python {here}; give the workers "
                "this one's version"
            )


def _about(python: Any) -> str:
    return f"Python {python[0]}, {python[1]}" if isinstance(python, tuple) else "its Python unknown"


def ask_for_backend(client: Any) -> str:
    """Return ``cuda`` if all workers, of this version, can use it, ``cpu`` if none can.

    Raises BackendError where only some can: a tile's last bits would depend on who renders it.
    """
    answers = client.run(cuda_status)
    usable = [worker for worker, (can, _) in answers.items() if can]
    if len(usable) in (0, len(answers)):
        return "cuda" if usable else "cpu"
    other = min(set(answers) - set(usable))
    raise BackendError(
        f"{len(usable)} of {len(answers)} worker(s) can use CUDA, {other} cannot: "
        f"{answers[other][1]}; give `backend=cuda` or cpu, or any to let each take what it has"
    )


def describe_devices(client: Any, backend: str, dtype: str) -> list[dict[str, str]]:
    """Return what GPUs the workers have, each kind once, with the number of workers that have it.

    Raises BackendError if a worker, of this version, cannot use the backend that is meant, or if
    there are several models of GPUs and ``backend`` is not ``any``; each worker uses its GPU for
    the first time here.
    """
    answers = client.run(_describe, backend, dtype, on_error="return")
    refusals = {worker: a for worker, a in answers.items() if isinstance(a, Exception)}
    if refusals:
        worker = min(refusals)
        raise BackendError(
            f"{len(refusals)} of {len(answers)} worker(s), such as {worker}: {refusals[worker]}"
        )
    kinds = Counter(tuple(about.items()) for about in answers.values() if about)
    models = sorted({dict(kind).get("device", "") for kind in kinds})
    if len(models) > 1 and backend != "any":
        raise BackendError(
            f"the workers have different GPUs ({', '.join(models)}), and the last bits of a tile "
            "depend on which renders it; use GPUs of one model, or give `backend=any`"
        )
    return [dict(kind) | {"workers": str(count)} for kind, count in sorted(kinds.items())]


def _describe(backend: str, dtype: str) -> dict[str, str]:
    """Describe this worker's GPU, if its tasks will use it."""
    if choose_backend_name(backend, dtype)[0] != "cuda":
        return {}
    about = get_backend(backend, dtype).describe()
    about.pop("kernel", None)
    return about


def release_devices(client: Any, backend: str, dtype: str) -> None:
    """Let workers that outlive the run give back their GPUs' memory, those that still answer."""
    if client.status == "running":
        with contextlib.suppress(Exception):  # it may not hide how the run ended
            client.run(_release, backend, dtype, on_error="ignore")


def _release(backend: str, dtype: str) -> None:
    get_backend(backend, dtype).release()


def check_folder(client: Any, files: Files) -> None:
    """Raise StoreError if a worker does not see the folder where a store is, or will be."""
    if not isinstance(files, LocalFiles):
        return
    if store.exists(files):
        _ask(client, files, files.folder)
        return
    parent = files.folder.absolute().parent
    while not parent.exists():
        parent = parent.parent
    probe = parent / f".tiledsim-{uuid.uuid4().hex}"
    try:
        probe.touch(exist_ok=False)
    except OSError as error:
        raise StoreError(f"{files.url}: cannot be made: {error.strerror}") from None
    try:
        _ask(client, files, probe)
    finally:
        probe.unlink()


def _ask(client: Any, files: LocalFiles, path: Path) -> None:
    answers = client.run(os.path.exists, str(path.absolute()), on_error="return")
    blind = [worker for worker, answer in answers.items() if answer is not True]
    if blind:
        raise StoreError(
            f"{files.url}: {len(blind)} of {len(answers)} worker(s), such as {min(blind)}, do not "
            "see its folder; give a folder on a disk that all share, or s3://bucket/key"
        )

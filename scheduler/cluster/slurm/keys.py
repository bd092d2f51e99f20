"""Keys for TLS that are made for one run, where its jobs find them and nobody else reads them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiledsim.errors import BackendError
from tiledsim.scheduler.cluster.local import own_security

PREFIX = ".tiledsim-keys-"


@dataclass(frozen=True)
class Keys:
    """Of this process and of the jobs; all None without TLS."""

    security: Any = None
    folder: Path | None = None
    as_nodes_see: Path | None = None
    """The folder, with variables that the nodes expand."""


@contextmanager
def shared_keys(place: Path, *, wanted: bool) -> Iterator[Keys]:
    """Put keys into a new folder in a place that nodes see too, and remove them at the end.

    Raises BackendError where it cannot be made.
    """
    if not wanted:
        yield Keys()
        return
    security = own_security()
    shared = os.path.expanduser(os.path.expandvars(place))
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=shared))  # readable by its owner alone
    except OSError as error:
        raise BackendError(
            f"`cluster=slurm`: no keys can be written to {shared}: {error.strerror}; give a "
            "shared_directory that the nodes see"
        ) from None
    try:
        told = security.get_tls_config_for_role("worker")
        for name in ("cert", "key"):
            file = folder / f"{name}.pem"
            file.touch(mode=0o600)
            file.write_text(told[name])
        yield Keys(security, folder, Path(os.path.expanduser(place)) / folder.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

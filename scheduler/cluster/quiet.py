"""A scheduler and workers that serve no web pages: nothing of them listens for browsers."""

from typing import Any

from distributed import Scheduler, Worker


class QuietScheduler(Scheduler):
    """Dask's scheduler without its dashboard."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Start none."""


class QuietWorker(Worker):
    """Dask's worker without its pages."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Start none."""

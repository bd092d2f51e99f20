"""moto's S3 server on 127.0.0.1, with a log of its requests and faults on order.

Run as a program it prints its port.  In the folder that it is given it appends a line a request to
``log``; it answers 503 to as many writes of a key with TEXT in it as ``fail-TEXT`` says, and
waits before a write as ``hang-TEXT`` says in seconds, once.  Slashes in TEXT are written ``+``.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_faults(application: Application, folder: Path) -> Application:
    """Wrap a server so that it keeps a log, and fails or waits as it is told."""

    def ordered(what: str, path: str) -> str:
        for order in folder.glob(f"{what}-*"):
            if order.name.removeprefix(f"{what}-").replace("+", "/") in path:
                try:
                    said = order.read_text()
                    left = int(said) - 1 if what == "fail" else 0
                    order.write_text(str(left)) if left > 0 else order.unlink()
                except FileNotFoundError:
                    continue
                return said
        return ""

    one_at_a_time = threading.Lock()

    def serve(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with (folder / "log").open("a") as log:
            log.write(f"{method} {path}\n")
        if method == "PUT":
            if ordered("fail", path):
                environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
                start("503 Slow Down", [("Content-Length", "0")])
                return [b""]
            if seconds := ordered("hang", path):
                time.sleep(float(seconds))
        with one_at_a_time:  # moto looks at a condition and writes in two steps
            return application(environ, start)

    return serve


def main() -> None:
    """Serve until ended."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: Any) -> None:
            return

    application = with_faults(DomainDispatcherApplication(create_backend_app), Path(sys.argv[1]))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

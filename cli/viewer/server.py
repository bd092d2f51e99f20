"""The server of the viewer: on this machine alone, and below a secret path.

Other users of a machine can reach its ports; without the path they are told nothing.  The origin of
a page is not asked for, so that the viewer works behind a proxy too: the path is what lets in.
"""

import secrets
from typing import Any

from tiledsim.cli.viewer.page import add_page
from tiledsim.cli.viewer.session import Shown
from tiledsim.errors import OptionError
from tiledsim.scheduler.store.files import Files


def start(files: Files, against: Files | None, port: int) -> tuple[Any, str]:
    """Start serving a store; return the server and the address of its page.

    ``port`` 0 takes a free one.  Raises OptionError for a port that cannot be had, StoreError for
    what is no store.
    """
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from bokeh.server.server import Server

    Shown(files, against)  # what is wrong with the stores is said here, not in the browser
    token = secrets.token_urlsafe(16)

    def fill(document: Any) -> None:
        add_page(document, Shown(files, against))

    try:
        server = Server(
            {"/": Application(FunctionHandler(fill))}, port=port, address="127.0.0.1",
            prefix=f"/{token}", allow_websocket_origin=["*"],
        )  # fmt: skip
    except OSError as error:
        raise OptionError(f"port {port} cannot be had: {error.strerror}; give another") from None
    server.start()
    return server, f"http://127.0.0.1:{server.port}/{token}/"

"""``tiledsim view``: a page on this machine that pans and zooms over the images of a run."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("view")(view)


def view(
    store: Annotated[str, typer.Argument(metavar="OUT.zarr", help="The store of a run.")],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="OTHER.zarr", help="Offer the difference from this."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Of this machine; a free one without.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Show the images of a run, also while it goes on, until Ctrl-C.

    The page is served on 127.0.0.1 below a secret path.  From
    another machine: ssh -L PORT:127.0.0.1:PORT.  A click traces a pixel.
    docs/looking.md tells more.

    \b
    Examples:
      tiledsim view OUT.zarr
      tiledsim view OUT.zarr --against OTHER.zarr --port 5006 --no-browser
    """
    import importlib.util
    import sys
    import webbrowser

    from tiledsim.errors import BackendError
    from tiledsim.scheduler.store.files import open_files

    if importlib.util.find_spec("bokeh") is None:
        raise BackendError('the viewer needs Bokeh: pip install "tiledsim[view]"')
    from tiledsim.cli.viewer.server import start

    files = open_files(store)
    server, address = start(files, None if against is None else open_files(against), port)
    print(address, flush=True)
    if browser and not webbrowser.open(address):
        print("tiledsim: note: no browser here; open the address yourself", file=sys.stderr)
    server.io_loop.start()

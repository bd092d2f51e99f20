"""``tiledsim summary``: what a finished run came to."""

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("summary")(summary)


def summary(
    store: Annotated[str, typer.Argument(metavar="OUT.zarr", help="The store of a run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the summary that a finished run left in its store.

    \b
    Examples:
      tiledsim summary image.zarr
      tiledsim summary image.zarr --json
    """
    from tiledsim.scheduler.files import open_files
    from tiledsim.scheduler.launch import load_summary

    found = load_summary(open_files(store))
    print(json.dumps(found.to_json(), indent=2) if as_json else found.text())

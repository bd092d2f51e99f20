"""``tiledsim summary``: what finished runs came to, and how they scaled."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tiledsim.errors import StoreError


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("summary")(summary)


def summary(
    stores: Annotated[list[str], typer.Argument(metavar="OUT.zarr...", help="Stores of runs.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.png", help="Draw how several runs scaled."),
    ] = None,
) -> None:
    """Print the summary that a finished run left in its store, or compare several.

    Several runs are compared as strong scaling if they are of one experiment with different
    numbers of workers or threads, as weak scaling if their steps grow with the threads.

    \b
    Examples:
      tiledsim summary image.zarr
      tiledsim summary image.zarr --json
      tiledsim summary one.zarr two.zarr four.zarr --plot scaling.png
    """
    from tiledsim.scheduler.results.stored_summary import load_summary
    from tiledsim.scheduler.store.files import open_files

    if len(stores) == 1:
        if plot is not None:
            raise StoreError("--plot draws how several runs scaled; name their stores")
        found = load_summary(open_files(stores[0]))
        print(json.dumps(found.to_json(), indent=2) if as_json else found.text())
        return
    from tiledsim.scheduler.results import scaling

    comparison = scaling.compare(stores)
    if plot is not None:
        scaling.plot(comparison, plot)
    print(json.dumps(comparison.to_json(), indent=2) if as_json else comparison.text())

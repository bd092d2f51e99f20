"""``tiledsim verify``: whether a store holds what its records say."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("verify")(verify)


def verify(
    store: Annotated[str, typer.Argument(metavar="OUT.zarr", help="The store of a run.")],
    sample: Annotated[
        int, typer.Option("--sample", min=0, metavar="N", help="Tiles to render again and compare.")
    ] = 4,
) -> None:
    """Read all tiles back, compare them with their records, and render a sample again.

    Exits with status 1 if a tile is damaged or missing; writes nothing.

    \b
    Examples:
      tiledsim verify image.zarr
      tiledsim verify image.zarr --sample 100
    """
    from tiledsim.cli.runs.run_options import in_flags
    from tiledsim.scheduler.results.verify import verify as check

    verdict = check(store, sample=sample)
    print(in_flags(verdict.text()))
    if not verdict.sound:
        raise typer.Exit(1)

"""``tiledsim picture``: images of a run as a picture for people."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("picture")(picture)


def picture(
    store: Annotated[str, typer.Argument(metavar="OUT.zarr", help="The store of a run.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.png", help="The picture.")
    ],
    shot: Annotated[
        int | None, typer.Option("--shot", metavar="N", help="Which shot; the first without it.")
    ] = None,
    sum: Annotated[
        str | None,
        typer.Option("--sum", metavar="all|0:100", help="The sum of these shots instead."),
    ] = None,
    panels: Annotated[
        str | None, typer.Option("--panels", metavar="0,2", help="Which panels; all without it.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option("--region", metavar="S0:S1,F0:F1", help="Slow and fast pixels of a panel."),
    ] = None,
    scale: Annotated[
        str, typer.Option("--scale", metavar="log|linear", help="How values become colours.")
    ] = "log",
    low: Annotated[
        float | None, typer.Option("--low", metavar="VALUE", help="What is shown lightest.")
    ] = None,
    high: Annotated[
        float | None, typer.Option("--high", metavar="VALUE", help="What is shown darkest.")
    ] = None,
    colours: Annotated[
        str,
        typer.Option("--colours", metavar="grey|inferno|viridis|cividis|magma", help="Colour map."),
    ] = "grey",
    rings: Annotated[bool, typer.Option("--rings/--no-rings", help="Resolution rings.")] = True,
    spots: Annotated[
        int,
        typer.Option("--spots", min=0, max=100_000, metavar="N",
                     help="Mark the N strongest predicted spots; the first have their hkl."),
    ] = 0,
    size: Annotated[
        int, typer.Option("--size", metavar="PIXELS", help="Of the longer side, about.")
    ] = 1400,
    partial: Annotated[
        bool, typer.Option("--partial", help="Show an unfinished run; what is missing is blank.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:  # fmt: skip
    """Draw an image of a run as PNG, panels placed as in the laboratory.

    Large detectors are made smaller by the maximum, so no spot is lost.  docs/looking.md shows one.

    \b
    Examples:
      tiledsim picture OUT.zarr -o image.png
      tiledsim picture OUT.zarr -o image.png --shot 3 --spots 200 --colours inferno
      tiledsim picture OUT.zarr -o scan.png --sum all
      tiledsim picture OUT.zarr -o corner.png --region 0:512,0:512 --scale linear
    """
    from tiledsim.errors import ExperimentError
    from tiledsim.scheduler.pictures.picture import Look
    from tiledsim.scheduler.pictures.picture import picture as draw

    if shot is not None and sum is not None:
        raise ExperimentError("--shot and --sum are both given; give one of them")
    shots = str(shot or 0) if sum is None else None if sum == "all" else sum
    look = Look(
        shots=shots, panels=panels, region=read_region(region), scale=scale, low=low, high=high,
        colours=colours, rings=rings, spots=spots, edge=size,
    )  # fmt: skip
    print(draw(store, output, look, partial=partial, overwrite=overwrite))


def read_region(text: str | None) -> tuple[int, int, int, int] | None:
    """Read ``S0:S1,F0:F1``.  Raises ExperimentError for something else."""
    from tiledsim.errors import ExperimentError

    if text is None:
        return None
    try:
        (s0, s1), (f0, f1) = (map(int, part.split(":")) for part in text.split(","))
    except ValueError:
        raise ExperimentError(
            f"--region {text}: give slow and fast pixels as 0:512,1000:1512"
        ) from None
    return s0, s1, f0, f1

"""``tiledsim run``: render an experiment into a Zarr store."""

from typing import Annotated

import typer

from tiledsim.cli.options import ModeOption, QuirksOption, read_experiment
from tiledsim.cli.running import (
    BackendOption,
    DtypeOption,
    OverwriteOption,
    QuietOption,
    ResumeOption,
    SchedulerOption,
    ThreadsOption,
    TileOption,
    WorkersOption,
    announce,
    execute,
)

RepairOption = Annotated[
    bool,
    typer.Option(
        "--repair", help="With --resume: read finished tiles back, render damaged ones again."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("run")(run)


def run(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT.toml", help="What to render.")],
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="OUT.zarr", help="The store: a folder or s3://bucket/key."
        ),
    ],
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    scheduler: SchedulerOption = None,
    tile: TileOption = None,
    backend: BackendOption = "auto",
    dtype: DtypeOption = "float64",
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
    repair: RepairOption = False,
    quiet: QuietOption = False,
) -> None:
    """Render all images of an experiment on Dask workers, each of which writes its own tiles.

    Prints what it will do, shows progress, and prints the summary last.  A run that is cut short
    is continued by the same command with --resume, and ends with the same bytes.

    \b
    Examples:
      tiledsim run experiment.toml -o image.zarr
      tiledsim run experiment.toml -o image.zarr --workers 4 --threads 2
      tiledsim run experiment.toml -o image.zarr --scheduler tcp://head:8786
      tiledsim run experiment.toml -o image.zarr --resume
      tiledsim run experiment.toml -o image.zarr --resume --repair
    """
    from tiledsim.build import build_scene

    parsed = read_experiment([experiment], mode, quirks)
    scene = build_scene(parsed)
    if not quiet:
        announce(parsed, scene)
    summary = execute(
        parsed, scene, output, quiet=quiet, workers=workers, threads=threads, scheduler=scheduler,
        tile=tile, backend=backend, dtype=dtype, overwrite=overwrite, resume=resume,
        repair=repair,
    )  # fmt: skip
    print(summary.text())

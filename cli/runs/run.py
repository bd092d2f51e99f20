"""``tiledsim run``: render an experiment into a Zarr store."""

from typing import Annotated, Any

import typer

from tiledsim.cli.options import (
    ModeOption,
    QuirksOption,
    SetOption,
    read_experiment,
    refuse_image_name,
)
from tiledsim.cli.runs.run_options import takes_run_options
from tiledsim.cli.runs.running import QuietOption, announce, execute


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("run")(takes_run_options(run))


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
    changes: SetOption = None,
    *,
    options: dict[str, Any],
    quiet: QuietOption = False,
) -> None:
    """Render all images of an experiment on Dask workers, each of which writes its own tiles.

    Prints what it will do, shows progress, and two lines of summary (tiledsim summary has all).
    A run that is cut short, also by Ctrl-C, SIGTERM (as batch systems send it) or --time-limit, is
    continued by the same command with --resume, and ends with the same bytes.  tiledsim watch shows
    it from elsewhere.
    Options may be preset: TILEDSIM_WORKERS=4, or workers = 4 below [run] in the experiment.

    \b
    Examples:
      tiledsim run experiment.toml -o image.zarr
      tiledsim run experiment.toml -o image.zarr --workers 4 --threads 2
      tiledsim run experiment.toml -o image.zarr --gpus all
      tiledsim run experiment.toml -o image.zarr --scheduler tcp://head:8786
      tiledsim run experiment.toml -o image.zarr --cluster slurm --cluster-config slurm.toml
      tiledsim run experiment.toml -o image.zarr --resume --time-limit 110
      tiledsim run experiment.toml -o image.zarr --resume --repair
    """
    from tiledsim.scene.build import build_scene
    from tiledsim.scheduler.presets import resolve

    refuse_image_name(output)
    parsed = read_experiment([experiment], mode, quirks, changes)
    chosen = resolve(options, parsed.run)
    scene = build_scene(parsed)
    if not quiet:
        announce(parsed, scene)
    print(execute(parsed, scene, output, chosen, quiet=quiet).brief(output))

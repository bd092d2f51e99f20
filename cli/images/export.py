"""``tiledsim export``: images of a run as files that other programs open."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("export")(export)


def export(
    store: Annotated[str, typer.Argument(metavar="OUT.zarr", help="The store of a run.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="NAME", help="The file; many shots make a stack "
                     "(nxmx, npy, raw) or numbered files."),
    ],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="nxmx|cbf|smv|tiff|npy|raw",
                     help="The format; without it the ending of NAME decides."),
    ] = None,
    shots: Annotated[
        str | None, typer.Option("--shots", metavar="0:100", help="Which shots; all without it.")
    ] = None,
    panels: Annotated[
        str | None, typer.Option("--panels", metavar="0,2", help="Which panels.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option("--as", metavar="int32|uint16|float32",
                     help="Type of the pixels; expected photons stay float32 where that is "
                     "possible, else they are rounded."),
    ] = None,
    truth: Annotated[
        bool,
        typer.Option("--truth", help="Beside them: NAME.expt (geometry and the true crystals) and "
                     "NAME.refl (the true reflections), for DIALS."),
    ] = False,
    with_noise: Annotated[
        int | None,
        typer.Option("--with-noise", metavar="SEED",
                     help="Count stored photons, with Poisson noise; tiledsim noise can do more."),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Export an unfinished run; what is missing is masked."),
    ] = False,
    clip: Annotated[
        bool, typer.Option("--clip", help="Bring values that do not fit the type to its ends.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an export that was cut short.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="Worker processes on this machine."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, metavar="N", help="Threads of each.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Use this Dask scheduler's workers."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the names of the files only.")]
    = False,
) -> None:  # fmt: skip
    """Write images of a run as NXmx, CBF, SMV, TIFF, NumPy or raw files.

    The files get their names when they are complete, the main one last.  docs/export.md says what
    each format holds and which programs were tried.

    \b
    Examples:
      tiledsim export OUT.zarr -o scan_master.h5 --as int32 --truth
      tiledsim export OUT.zarr -o image.cbf --shots 0:100
      tiledsim export OUT.zarr -o noisy_master.h5 --with-noise 1
      tiledsim export OUT.zarr -o image.tif --panels 0
      tiledsim export OUT.zarr -o pixels.npy --shots 5
    """
    from tiledsim.cli.images.export_progress import showing
    from tiledsim.scheduler.export.export import export as write
    from tiledsim.scheduler.options import Where

    with showing(quiet) as progress:
        made = write(
            store, output, to=to, shots=shots, panels=panels, dtype=dtype, truth=truth,
            with_noise=with_noise, partial=partial, clip=clip, overwrite=overwrite, resume=resume,
            progress=progress,
            where=Where(workers=workers, threads=threads, scheduler=scheduler),
        )  # fmt: skip
    for path in made:
        print(path)

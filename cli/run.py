"""``tiledsim run``: render an experiment into a Zarr store."""

from typing import Annotated

import typer

from tiledsim.cli.options import ModeOption, QuirksOption, read_experiment
from tiledsim.cli.running import (
    BackendOption,
    ClusterConfigOption,
    ClusterOption,
    DtypeOption,
    GpusOption,
    OverwriteOption,
    QuietOption,
    ReportOption,
    ResumeOption,
    SchedulerFileOption,
    SchedulerOption,
    ThreadsOption,
    TileOption,
    TimeLimitOption,
    TlsCaFileOption,
    TlsCertOption,
    TlsKeyOption,
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
    gpus: GpusOption = None,
    cluster: ClusterOption = None,
    cluster_config: ClusterConfigOption = None,
    scheduler: SchedulerOption = None,
    scheduler_file: SchedulerFileOption = None,
    tls_ca_file: TlsCaFileOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tile: TileOption = None,
    backend: BackendOption = "auto",
    dtype: DtypeOption = "float64",
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
    repair: RepairOption = False,
    time_limit: TimeLimitOption = None,
    report: ReportOption = None,
    quiet: QuietOption = False,
) -> None:
    """Render all images of an experiment on Dask workers, each of which writes its own tiles.

    Prints what it will do, shows progress, and prints the summary last.  A run that is cut short,
    also by Ctrl-C, SIGTERM (as batch systems send it) or --time-limit, is continued by the same
    command with --resume, and ends with the same bytes.  tiledsim watch shows it from elsewhere.

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
    from tiledsim.scheduler.cluster.remote import Tls

    parsed = read_experiment([experiment], mode, quirks)
    scene = build_scene(parsed)
    if not quiet:
        announce(parsed, scene)
    summary = execute(
        parsed, scene, output, quiet=quiet, workers=workers, threads=threads, gpus=gpus,
        cluster=cluster, cluster_config=cluster_config, scheduler=scheduler,
        scheduler_file=scheduler_file, tls=Tls(tls_ca_file, tls_cert, tls_key), tile=tile,
        backend=backend, dtype=dtype, overwrite=overwrite, resume=resume, repair=repair,
        report=report, time_limit_minutes=time_limit,
    )  # fmt: skip
    print(summary.text())

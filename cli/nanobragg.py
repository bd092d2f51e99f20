"""``tiledsim nanobragg``: nanoBragg's own command line."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiledsim.cli.options import (
    FLAG_SETTINGS,
    ModeOption,
    QuirksOption,
    read_mode,
    read_quirks,
    refuse_unknown_options,
)
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
    RunStoppedError,
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

if TYPE_CHECKING:
    from tiledsim.nanobragg.command import NanobraggCommand


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("nanobragg", context_settings=FLAG_SETTINGS)(nanobragg)


def nanobragg(
    context: typer.Context,
    flags: Annotated[list[str], typer.Argument(metavar="FLAGS...", help="Flags of nanoBragg.")],
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    zarr: Annotated[
        str | None,
        typer.Option("--zarr", metavar="OUT.zarr", help="Keep the Zarr store, here."),
    ] = None,
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
    time_limit: TimeLimitOption = None,
    report: ReportOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run nanoBragg's command line, in tiles; c-parity unless --mode spec.

    nanoBragg's flags have one dash, tiledsim's options two.  Writes the float image where
    -floatfile says; without it and without --zarr, to floatimage.bin as nanoBragg does.

    \b
    Examples:
      tiledsim nanobragg -mat A.mat -hkl P1.hkl -lambda 1.2 -N 8 -floatfile img.bin
      tiledsim nanobragg -cell 70 80 90 75 85 95 -default_F 100 -N 5 --zarr image.zarr --mode spec
    """
    from tiledsim.errors import ExperimentError
    from tiledsim.nanobragg.command import DEFAULT_FLOAT_FILE, parse_nanobragg
    from tiledsim.scene.build import build_scene
    from tiledsim.scheduler.cluster.remote import Tls

    refuse_unknown_options(context, flags)
    taken = read_mode(mode, "c-parity")
    command = parse_nanobragg(flags, taken, quirks=read_quirks(quirks, taken))
    _refuse_later_outputs(command)
    if resume and zarr is None:
        raise ExperimentError("--resume continues a store; name it with --zarr")
    for note in (*command.notes, *_without_effect(command)):
        print(f"tiledsim: note: {note}", file=sys.stderr)
    float_file = command.float_file
    if float_file is None and zarr is None:
        float_file = Path(DEFAULT_FLOAT_FILE)
    _check_writable("-floatfile", float_file)
    _check_writable("-dump", command.dump_file)
    scene = build_scene(command.experiment)
    if command.trace_pixel is not None:
        from tiledsim.reference.trace import check_pixel

        check_pixel(scene, 0, 0, *command.trace_pixel)
    if not quiet:
        announce(command.experiment, scene)
    with ExitStack() as stack:
        if zarr is None:
            assert float_file is not None
            store = str(stack.enter_context(_scratch_beside(float_file)) / "image.zarr")
        else:
            store = zarr
        summary = execute(
            command.experiment, scene, store, quiet=quiet, workers=workers, threads=threads,
            gpus=gpus, cluster=cluster, cluster_config=cluster_config, scheduler=scheduler,
            scheduler_file=scheduler_file, tls=Tls(tls_ca_file, tls_cert, tls_key), tile=tile,
            backend=backend, dtype=dtype, overwrite=overwrite, resume=resume, report=report,
            time_limit_minutes=time_limit, fsync=zarr is not None,
        )  # fmt: skip
        if float_file is not None:
            from tiledsim.scheduler.export.raw import write_raw

            write_raw(store, float_file)
    if command.dump_file is not None:
        _write_dump(command)
    if command.trace_pixel is not None:
        from tiledsim.reference.trace import trace

        print("\n".join(trace(scene, 0, *command.trace_pixel).lines()))
    print(summary.text())


def _refuse_later_outputs(command: "NanobraggCommand") -> None:
    from tiledsim.errors import ExperimentError

    asked = {
        "-intfile": command.int_file,
        "-pgmfile": command.pgm_file,
        "-noisefile": command.noise_file,
    }
    for flag, file in asked.items():
        if file is not None:
            raise ExperimentError(
                f"{flag} {file}: tiledsim writes float images (-floatfile) and Zarr (--zarr) only; "
                "leave it out"
            )


def _without_effect(command: "NanobraggCommand") -> Iterator[str]:
    """Say which flags serve what tiledsim does not write."""
    given = {
        "-scale": command.int_scale,
        "-adc": command.adc_offset,
        "-pgmscale": command.pgm_scale,
        "-seed": command.noise_seed,
    }
    idle = [flag for flag, value in given.items() if value is not None]
    if idle:
        yield f"{', '.join(idle)}: of use to SMV, PGM and noise images only, which are not written"
    if command.printout or command.printout_pixel is not None:
        yield "-printout prints nothing here; -trace_pixel SLOW FAST shows all there is of a pixel"


def _check_writable(flag: str, file: Path | None) -> None:
    from tiledsim.errors import StoreError

    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise StoreError(f"{flag} {file}: cannot be written; its folder must exist")


@contextmanager
def _scratch_beside(file: Path) -> Iterator[Path]:
    """Give a folder on the disk where ``file`` will be; an unfinished run does not survive it."""
    from tiledsim.errors import RunError, StoreError

    kept = "nothing is kept of a run without --zarr"
    try:
        scratch = tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".tiledsim-")
    except OSError as error:
        raise StoreError(f"{file}: its folder cannot be written: {error.strerror}") from None
    with scratch as folder:
        try:
            yield Path(folder)
        except RunStoppedError as stop:
            raise RunStoppedError(f"stopped; {kept}", stop.status) from None
        except RunError as error:
            raise RunError(f"{error}; but {kept}") from None


def _write_dump(command: "NanobraggCommand") -> None:
    from tiledsim.structure_factors.table import load_structure_factors, write_fdump

    assert command.dump_file is not None
    write_fdump(command.dump_file, load_structure_factors(command.experiment.structure_factors))

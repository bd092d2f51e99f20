"""``tiledsim nanobragg``: nanoBragg's own command line."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiledsim.cli.options import (
    FLAG_SETTINGS,
    ModeOption,
    QuirksOption,
    read_mode,
    read_quirks,
    refuse_unknown_options,
)
from tiledsim.cli.runs.run_options import takes_run_options
from tiledsim.cli.runs.running import QuietOption, RunStoppedError, announce, execute

if TYPE_CHECKING:
    from tiledsim.nanobragg.camera import Camera
    from tiledsim.nanobragg.command.command import NanobraggCommand
    from tiledsim.nanobragg.images.outputs import Outputs
    from tiledsim.scene import Scene


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("nanobragg", context_settings=FLAG_SETTINGS)(takes_run_options(nanobragg))


def nanobragg(
    context: typer.Context,
    flags: Annotated[list[str], typer.Argument(metavar="FLAGS...", help="Flags of nanoBragg.")],
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    zarr: Annotated[
        str | None,
        typer.Option("--zarr", metavar="OUT.zarr", help="Keep the Zarr store, here."),
    ] = None,
    *,
    options: dict[str, Any],
    quiet: QuietOption = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Run nothing; print the TOML, what was chosen, what each quirk changes, and flags "
            "that contradict each other.",
        ),
    ] = False,
) -> None:
    """Run nanoBragg's command line, in tiles; c-parity unless --mode spec.

    nanoBragg's flags have one dash, tiledsim's options two.  Writes nanoBragg's four images where
    -floatfile, -intfile, -pgmfile and -noisefile say, or under its default names; with --zarr only
    those that are named.  Prints what nanoBragg prints.

    \b
    Examples:
      tiledsim nanobragg -mat A.mat -hkl P1.hkl -lambda 1.2 -N 8 -floatfile img.bin
      tiledsim nanobragg -cell 70 80 90 75 85 95 -default_F 100 -N 5 --zarr image.zarr --mode spec
    """
    from tiledsim.errors import ExperimentError
    from tiledsim.nanobragg.camera import camera_of
    from tiledsim.nanobragg.command.command import parse_nanobragg
    from tiledsim.nanobragg.images.outputs import outputs_of
    from tiledsim.scene.build import build_scene
    from tiledsim.scheduler.presets import resolve

    refuse_unknown_options(context, flags)
    taken = read_mode(mode, "c-parity")
    if explain:
        from tiledsim.nanobragg.command.explain import explain_command

        print("\n".join(explain_command(flags, taken, quirks=read_quirks(quirks, taken))))
        return
    command = parse_nanobragg(flags, taken, quirks=read_quirks(quirks, taken))
    chosen = resolve(options)
    if chosen.resume and zarr is None:
        raise ExperimentError("--resume continues a store; name it with --zarr")
    for note in command.notes:
        print(f"tiledsim: note: {note}", file=sys.stderr)
    outputs = outputs_of(command, defaults=zarr is None)
    scene = build_scene(command.experiment)
    _check_pixels(command, scene)
    camera = camera_of(command.experiment, command.sides_mm)
    seed = int(time.time()) if command.noise_seed is None else command.noise_seed
    quiet_progress = quiet or not command.progress
    if not quiet:
        announce(command.experiment, scene)
        _print_report(command, scene, camera, seed if outputs.noise_file is not None else None)
    with ExitStack() as stack:
        scratch = None
        if outputs.files:
            scratch = stack.enter_context(_scratch(outputs, store_kept=zarr is not None))
        store = str(scratch / "image.zarr") if scratch is not None and zarr is None else zarr
        assert store is not None  # without --zarr there is a float image at least
        if zarr is None:
            chosen = replace(chosen, fsync=False)  # nobody keeps it
        summary = execute(command.experiment, scene, store, chosen, quiet=quiet_progress)
        if command.printout and not quiet:
            _print_pixels(command, scene, camera)
        if scratch is not None:
            from tiledsim.nanobragg.images.outputs import write_outputs
            from tiledsim.scheduler.export.export import export

            export(store, scratch / "float.bin", to="raw", dtype="float32")
            lines = write_outputs(scratch / "float.bin", outputs, command, scene, camera, seed)
            if not quiet:
                print("\n".join(lines))
    if command.dump_file is not None:
        _write_dump(command)
    if command.trace_pixel is not None:
        from tiledsim.reference.trace import trace

        print("\n".join(trace(scene, 0, *command.trace_pixel).lines()))
    print(summary.text())


def _check_pixels(command: "NanobraggCommand", scene: "Scene") -> None:
    from tiledsim.reference.trace import check_pixel

    if command.trace_pixel is not None:
        check_pixel(scene, 0, 0, *command.trace_pixel)
    if command.printout_pixel is not None:
        fast, slow = command.printout_pixel
        check_pixel(scene, 0, 0, slow, fast)


def _print_report(
    command: "NanobraggCommand", scene: "Scene", camera: "Camera", noise_seed: int | None
) -> None:
    from tiledsim.nanobragg.report import report

    lines = report(
        command.experiment, scene, camera, noise_seed=noise_seed,
        interpolation=command.interpolation, stol_file=command.stol_file,
    )  # fmt: skip
    print("\n".join(lines), flush=True)


def _print_pixels(command: "NanobraggCommand", scene: "Scene", camera: "Camera") -> None:
    from tiledsim.nanobragg.images.printout import printout

    for line in printout(scene, camera.wavelength, command.printout_pixel):
        print(line)


@contextmanager
def _scratch(outputs: "Outputs", *, store_kept: bool) -> Iterator[Path]:
    """Give a folder on the disk where the float image will be, which does not outlive the run."""
    from tiledsim.errors import RunError, StoreError
    from tiledsim.nanobragg.images.files import is_device

    kept = "nothing is kept of a run without --zarr"
    beside = [file.resolve().parent for file in outputs.files if not is_device(file.resolve())]
    try:
        scratch = tempfile.TemporaryDirectory(
            dir=beside[0] if beside else None, prefix=".tiledsim-"
        )
    except OSError as error:
        raise StoreError(f"{beside[0]}: cannot be written: {error.strerror}") from None
    with scratch as folder:
        try:
            yield Path(folder)
        except RunStoppedError as stop:
            if store_kept:
                raise
            raise RunStoppedError(f"stopped; {kept}", stop.status) from None
        except RunError as error:
            if store_kept:
                raise
            raise RunError(f"{error}; but {kept}") from None


def _write_dump(command: "NanobraggCommand") -> None:
    from tiledsim.structure_factors.load import load_structure_factors
    from tiledsim.structure_factors.tables.fdump import write_fdump

    assert command.dump_file is not None
    write_fdump(
        command.dump_file,
        load_structure_factors(
            command.experiment.structure_factors, quirks=command.experiment.active_quirks
        ),
    )

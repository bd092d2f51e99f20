"""``tiledsim trace``: every intermediate of single pixels."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiledsim.cli.options import (
    FLAG_SETTINGS,
    ModeOption,
    QuirksOption,
    SetOption,
    read_experiment,
    read_mode,
)

if TYPE_CHECKING:
    from tiledsim.experiment import Experiment
    from tiledsim.reference.trace import PixelTrace

PanelOption = Annotated[int, typer.Option("--panel", metavar="P", help="Panel of the detector.")]
ShotOption = Annotated[int, typer.Option("--shot", metavar="N", help="Shot of the run.")]
PhiModeOption = Annotated[
    str | None,
    typer.Option(
        "--phi-mode", metavar="spec|c-parity",
        help="Switch the φ carry-over alone; the other quirks stay as the mode has them.",
    ),
]  # fmt: skip
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="cpu|cuda", help="Where the kernel's value comes from.")
]
DtypeOption = Annotated[
    str, typer.Option("--dtype", metavar="float64|mixed", help="Precision of the kernel's value.")
]
WordsArgument = Annotated[
    list[str], typer.Argument(metavar="EXPERIMENT.toml | -- FLAGS...", help="What is rendered.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("trace", context_settings=FLAG_SETTINGS)(trace)


def trace(
    experiment: WordsArgument,
    panel: PanelOption = 0,
    shot: ShotOption = 0,
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    phi_mode: PhiModeOption = None,
    changes: SetOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float64",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the lines there.")
    ] = None,
    all_steps: Annotated[
        Path | None,
        typer.Option(
            "--all-steps",
            metavar="FILE",
            help="Write every layer, subpixel, source, φ step and domain there (.csv, else Zarr).",
        ),
    ] = None,
    pretty: Annotated[
        bool, typer.Option("--pretty", help="Print a table: value, unit, meaning.")
    ] = False,
) -> None:
    """Print every intermediate of a pixel, in the order of nanoBragg's own trace.

    The pixel is rendered by the production kernel too; the last lines say how far the two are
    apart.  --pixel SLOW FAST names the pixel and may be given several times; -trace_pixel SLOW FAST
    among nanoBragg's flags does the same.

    \b
    Examples:
      tiledsim trace experiment.toml --pixel 512 300 --pretty
      tiledsim trace --pixel 685 1039 --mode c-parity -- -mat A.mat -hkl scaled.hkl -lambda 1
    """
    words, pixels = take_pixels(experiment)
    traces = trace_pixels(
        words, pixels, panel=panel, shot=shot, mode=mode, quirks=quirks, phi_mode=phi_mode,
        device=device, dtype=dtype, changes=changes,
    )  # fmt: skip
    if all_steps is not None:
        _write_all_steps(traces, all_steps)
    parts = [found.table() if pretty else "\n".join(found.lines()) for found in traces]
    text = "\n\n".join(parts) if pretty else "\n".join(parts)
    if out is None:
        print(text)
    else:
        write_text(out, text + "\n")


def take_pixels(words: list[str]) -> tuple[list[str], list[tuple[int, int]]]:
    """Take every ``--pixel SLOW FAST`` and ``-trace_pixel SLOW FAST`` out of a command's words.

    Typer has no option of two values that may be repeated.  Raises ExperimentError for values that
    are not whole numbers, and for a word with two dashes that no option is.
    """
    from tiledsim.errors import ExperimentError

    left, pixels = [], []
    rest = iter(words)
    for word in rest:
        if word not in ("--pixel", "-trace_pixel"):
            if word.startswith("--"):
                raise ExperimentError(f"{word}: no such option; see tiledsim trace --help")
            left.append(word)
            continue
        values = next(rest, ""), next(rest, "")
        try:
            pixels.append((int(values[0]), int(values[1])))
        except ValueError:
            raise ExperimentError(
                f"{word} {' '.join(values)}: needs two whole numbers, slow and fast"
            ) from None
    return left, pixels


def trace_pixels(
    words: list[str], pixels: list[tuple[int, int]], *, panel: int, shot: int, mode: str | None,
    quirks: str | None, phi_mode: str | None, device: str, dtype: str,
    changes: list[str] | None = None,
) -> "list[PixelTrace]":  # fmt: skip
    """Trace pixels of an experiment given in words."""
    from tiledsim.cli.runs.running import announce
    from tiledsim.errors import ExperimentError
    from tiledsim.reference.trace import trace as trace_one
    from tiledsim.scene.build import build_scene

    if not pixels:
        raise ExperimentError("no pixel: give --pixel SLOW FAST")
    experiment = with_phi_mode(read_experiment(words, mode, quirks, changes), phi_mode)
    scene = build_scene(experiment)
    announce(experiment, scene)
    return [
        trace_one(scene, panel, slow, fast, shot=shot, backend=device, dtype=dtype)
        for slow, fast in pixels
    ]


def with_phi_mode(experiment: "Experiment", phi_mode: str | None) -> "Experiment":
    """Switch the φ carry-over alone."""
    if phi_mode is None:
        return experiment
    carried = {"phi_carryover"} if read_mode(phi_mode, "spec") == "c-parity" else set()
    active = (set(experiment.active_quirks) - {"phi_carryover"}) | carried
    return experiment.replace(quirks=tuple(sorted(active)))


def write_text(file: Path, text: str) -> None:
    """Write a file, or raise StoreError in one line."""
    from tiledsim.errors import StoreError

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{file}: cannot be written: {error.strerror}") from None


def _write_all_steps(traces: "list[PixelTrace]", file: Path) -> None:
    """Write every step to a ``.csv`` file or, for any other name, a Zarr group of columns."""
    from tiledsim.errors import ExperimentError

    if len(traces) > 1:
        raise ExperimentError("--all-steps takes one --pixel")
    found = traces[0]
    try:
        if file.suffix == ".csv":
            file.write_text(found.all_steps_csv())
        else:
            _write_columns(found, file)
    except (OSError, ValueError) as error:
        raise ExperimentError(f"--all-steps {file}: cannot be written: {error}") from error
    print(f"{file}: {found.scene.steps_per_pixel:,} steps", file=sys.stderr)


def _write_columns(found: "PixelTrace", file: Path) -> None:
    import numpy as np

    from tiledsim.cupy_cache import choose_cache_folder

    choose_cache_folder()  # zarr imports CuPy where it is installed
    import zarr

    group = zarr.open_group(file, mode="w-")
    for name, column in found.all_steps().items():
        group.create_array(name, data=np.ascontiguousarray(column), dimension_names=("step",))

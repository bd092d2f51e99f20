"""``tiledsim compare`` and ``tiledsim parity``: two programs at one pixel, with the evidence."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiledsim.cli.options import FLAG_SETTINGS, ModeOption, QuirksOption, SetOption
from tiledsim.cli.programs.trace import (
    DeviceOption,
    DtypeOption,
    PanelOption,
    PhiModeOption,
    ShotOption,
    WordsArgument,
    take_pixels,
    trace_pixels,
)

if TYPE_CHECKING:
    from tiledsim.parity.compare_logs import Comparison

OutOption = Annotated[
    str,
    typer.Option("--out", metavar="DIR", help="Where the evidence goes; never overwritten."),
]
RtolOption = Annotated[
    float, typer.Option("--rtol", min=0.0, help="Relative tolerance of a match.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("compare")(compare)
    app.command("parity", context_settings=FLAG_SETTINGS)(parity)


def compare(
    out: OutOption = "reports/",
    c: Annotated[
        Path | None, typer.Option("--c", metavar="C.log", help="Trace of nanoBragg.")
    ] = None,
    py: Annotated[
        Path | None, typer.Option("--py", metavar="PY.log", help="Trace of tiledsim.")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            "--image",
            metavar="FILE",
            help="Twice: the reference, then the other; stores whole.",
        ),
    ] = None,
    shape: Annotated[
        tuple[int, int] | None,
        typer.Option("--shape", metavar="SLOW FAST", help="Pixels of a raw float32 image."),
    ] = None,
    rtol: RtolOption = 1e-6,
) -> None:
    """Compare two traces of a pixel, or two images, and keep the evidence in a new folder.

    Exit status 0: all within tolerance; 1: a divergence; 2: the input cannot be used.

    \b
    Examples:
      tiledsim compare --c c.log --py py.log --out reports/
      tiledsim compare --image c.bin --image image.zarr --shape 2527 2463
    """
    from tiledsim.errors import ExperimentError

    if image:
        if c or py or len(image) != 2:
            raise ExperimentError("give --image twice, or --c and --py; not both")
        _compare_images(image[0], image[1], shape, rtol, out)
    elif c is None or py is None:
        raise ExperimentError("give two traces, --c and --py, or two images, --image and --image")
    else:
        _compare_logs(c, py, rtol, out, [_command()], {})


def parity(
    experiment: WordsArgument,
    c: Annotated[Path, typer.Option("--c", metavar="C.log", help="Trace of nanoBragg.")],
    out: OutOption = "reports/",
    panel: PanelOption = 0,
    shot: ShotOption = 0,
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    phi_mode: PhiModeOption = None,
    changes: SetOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float64",
    rtol: RtolOption = 1e-6,
) -> None:
    """Trace the pixel of a log of nanoBragg and compare, in one step.

    The pixel is the one that the log names, or --pixel SLOW FAST.

    \b
    Examples:
      tiledsim parity experiment.toml --c c.log --out reports/
      tiledsim parity --c c.log --out reports/ -- -mat A.mat -hkl scaled.hkl -lambda 1
    """
    from tiledsim.errors import ExperimentError, TiledsimError
    from tiledsim.parity.bundle import write_failure
    from tiledsim.parity.read_log import read_log

    words, pixels = take_pixels(experiment)
    try:
        chosen = pixels[-1] if pixels else read_log(c).pixel
        if chosen is None:
            raise ExperimentError(f"{c} does not say which pixel it traces; give --pixel SLOW FAST")
        (found,) = trace_pixels(
            words, [chosen], panel=panel, shot=shot, mode=mode, quirks=quirks, phi_mode=phi_mode,
            device=device, dtype=dtype, changes=changes,
        )  # fmt: skip
    except TiledsimError as error:
        write_failure(out, str(error))
        raise
    env = {
        "device": device,
        "dtype": dtype,
        "mode": found.scene.mode,
        "quirks": " ".join(found.scene.quirks),
    }
    lines = "\n".join(found.lines()) + "\n"
    _compare_logs(c, None, rtol, out, [_command()], env, lines.encode())


def _command() -> str:
    return shlex.join(["tiledsim", *sys.argv[1:]])


def _compare_logs(
    c: Path, py: Path | None, rtol: float, out: str, commands: list[str], env: dict[str, str],
    traced: bytes = b"",
) -> None:  # fmt: skip
    from tiledsim.errors import InputFileError
    from tiledsim.parity.bundle import summary_text, write_bundle, write_failure
    from tiledsim.parity.compare_logs import compare as compare_traces
    from tiledsim.parity.read_log import parse_log, read_log

    try:
        reference = read_log(c)
        other = parse_log(traced.decode()) if py is None else read_log(py)
        found: Comparison = compare_traces(reference, other, rtol=rtol)
    except InputFileError as error:
        write_failure(out, str(error))
        raise
    files = {"c_trace.log": c.read_bytes(), "py_trace.log": traced or (py or c).read_bytes()}
    summary = summary_text(found)
    folder = write_bundle(
        out, metrics=found.metrics(), summary=summary, files=files, commands=commands, env=env
    )
    print("\n".join(summary.splitlines()[2:7]))
    print(f"evidence in {folder}")
    raise typer.Exit(1 if found.first_divergence else 0)


def _compare_images(a: Path, b: Path, shape: tuple[int, int] | None, rtol: float, out: str) -> None:
    from tiledsim.cli.programs.compare_images import compare_all
    from tiledsim.errors import TiledsimError
    from tiledsim.parity.bundle import write_bundle, write_failure

    try:
        every = list(compare_all(a, b, shape, rtol))
    except TiledsimError as error:
        write_failure(out, str(error))
        raise
    differing = sum(1 for _, _, found in every if found.out_of_tolerance)
    shot, panel, worst = max(every, key=lambda one: one[2].largest_relative)
    lines = [worst.text()]
    if len(every) > 1:
        lines = [
            f"{len(every):,} images, {differing:,} of them with pixels beyond {rtol:g}; "
            f"the one that differs most is shot {shot} panel {panel}:",
            worst.text() + f" --shot {shot} --panel {panel}",
        ]
    text = "\n".join(lines)
    metrics = {
        **worst.to_json(),
        "shot": shot,
        "panel": panel,
        "images": [{"shot": s, "panel": p, **found.to_json()} for s, p, found in every],
        "first_divergence": "image" if differing else None,
    }
    folder = write_bundle(
        out, metrics=metrics, summary=f"# Comparison of two images\n\n{text}\n", files={},
        commands=[_command()], env={"image_a": str(a), "image_b": str(b)},
    )  # fmt: skip
    print(text)
    print(f"evidence in {folder}")
    raise typer.Exit(1 if differing else 0)

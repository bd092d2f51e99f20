"""``tiledsim convert``: nanoBragg's flags as an experiment's TOML; geometry from file to file."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiledsim.cli.options import (
    FLAG_SETTINGS,
    ModeOption,
    QuirksOption,
    SetOption,
    print_notes,
    read_experiment,
    read_mode,
    read_quirks,
    refuse_unknown_options,
)

if TYPE_CHECKING:
    from tiledsim.nanobragg.command.command import NanobraggCommand


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("convert", context_settings=FLAG_SETTINGS)(convert)


def convert(
    context: typer.Context,
    flags: Annotated[
        list[str], typer.Argument(metavar="FLAGS... | FILE", help="Flags of nanoBragg, or a file.")
    ],
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="expt|geom|xds|toml",
            help="Write the geometry alone, for DIALS, CrystFEL or XDS, or as sections of TOML.",
        ),
    ] = None,
    changes: SetOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write there, not to standard output."),
    ] = None,
) -> None:
    """Turn nanoBragg's flags into an experiment file, or the geometry of a file into another.

    Geometry is read from an experiment, or a file of DIALS, NeXus, XDS, CrystFEL or CBF.

    Names of files become absolute.  The mode is c-parity unless --mode says otherwise; a random
    orientation gets its seed written down, so that it can be repeated.

    \b
    Examples:
      tiledsim convert -cell 70 80 90 75 85 95 -default_F 100 -N 5 > experiment.toml
      tiledsim convert x.expt --to geom --output x.geom
      tiledsim convert experiment.toml --to xds --output XDS.INP
      tiledsim convert -mat A.mat -hkl P1.hkl -lambda 1.2 --mode spec --output experiment.toml
    """
    from tiledsim.nanobragg.command.command import parse_nanobragg

    refuse_unknown_options(context, flags)
    if to is not None or _is_file(flags):
        _write(_geometry(flags, to or "toml", mode, quirks, changes), output)
        return
    taken = read_mode(mode, "c-parity")
    command = parse_nanobragg(flags, taken, quirks=read_quirks(quirks, taken))
    print_notes((*command.notes, *command.experiment.notes, *_left_behind(command)))
    text = f"# nanoBragg {' '.join(shlex.join(flags).split())}\n\n{command.experiment.to_toml()}"
    _write(text, output)


def _is_file(words: list[str]) -> bool:
    return len(words) == 1 and not words[0].startswith("-")


def _geometry(
    words: list[str], to: str, mode: str | None, quirks: str | None, changes: list[str] | None
) -> str:
    """Return the geometry of a file, an experiment or flags, as the text of another file."""
    from tiledsim.errors import ExperimentError
    from tiledsim.geometry_files.read import read_geometry_file
    from tiledsim.geometry_files.write import TARGETS, described, geometry_text

    for target in TARGETS:
        if to == target:
            break
    else:
        raise ExperimentError(f"--to {to[:40]}: must be one of {', '.join(TARGETS)}")
    if _is_file(words) and Path(words[0]).suffix != ".toml":
        return geometry_text(read_geometry_file(Path(words[0])), target)
    return geometry_text(described(read_experiment(words, mode, quirks, changes)), target)


def _write(text: str, output: Path | None) -> None:
    from tiledsim.errors import StoreError

    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror}") from None


def _left_behind(command: "NanobraggCommand") -> Iterator[str]:
    """Name the outputs that a command line asks for and that an experiment does not hold."""
    asked = {
        "-floatfile": command.float_file, "-intfile": command.int_file,
        "-pgmfile": command.pgm_file, "-noisefile": command.noise_file,
        "-dump": command.dump_file, "-trace_pixel": command.trace_pixel,
    }  # fmt: skip
    flags = [flag for flag, value in asked.items() if value is not None]
    if flags:
        yield f"{', '.join(flags)}: an experiment says what is simulated, not what is written"

"""``tiledsim convert``: nanoBragg's flags as an experiment's TOML."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiledsim.cli.options import (
    FLAG_SETTINGS,
    ModeOption,
    QuirksOption,
    print_notes,
    read_mode,
    read_quirks,
    refuse_unknown_options,
)

if TYPE_CHECKING:
    from tiledsim.nanobragg.command import NanobraggCommand


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("convert", context_settings=FLAG_SETTINGS)(convert)


def convert(
    context: typer.Context,
    flags: Annotated[list[str], typer.Argument(metavar="FLAGS...", help="Flags of nanoBragg.")],
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write there, not to standard output."),
    ] = None,
) -> None:
    """Turn a command line of nanoBragg into an experiment file.

    Names of files become absolute.  The mode is c-parity unless --mode says otherwise; a random
    orientation gets its seed written down, so that it can be repeated.

    \b
    Examples:
      tiledsim convert -cell 70 80 90 75 85 95 -default_F 100 -N 5 > experiment.toml
      tiledsim convert -mat A.mat -hkl P1.hkl -lambda 1.2 --mode spec --output experiment.toml
    """
    from tiledsim.errors import StoreError
    from tiledsim.nanobragg.command import parse_nanobragg

    refuse_unknown_options(context, flags)
    taken = read_mode(mode, "c-parity")
    command = parse_nanobragg(flags, taken, quirks=read_quirks(quirks, taken))
    print_notes((*command.notes, *command.experiment.notes, *_left_behind(command)))
    text = f"# nanoBragg {' '.join(shlex.join(flags).split())}\n\n{command.experiment.to_toml()}"
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

"""``tiledsim nonbragg`` and ``tiledsim noisify``: nanoBragg's companions, with their own flags."""

import sys
from collections.abc import Iterable, Mapping
from typing import Annotated

import typer

from tiledsim.cli.options import FLAG_SETTINGS, read_mode, refuse_unknown_options

ProgramModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="spec|c-parity",
        help="c-parity (the default): the program to the last bit; spec: none of its quirks, and "
        "noise that is counted for any pixel by itself (Philox).",
    ),
]
ProgramQuirksOption = Annotated[
    str | None,
    typer.Option(
        "--quirks",
        metavar="LIST",
        help="The program's quirks to keep: names with commas between, all (the default of "
        "c-parity) or none; -NAME takes one away (all,-psf_wraps).",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but notes and errors.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("nonbragg", context_settings=FLAG_SETTINGS)(nonbragg)
    app.command("noisify", context_settings=FLAG_SETTINGS)(noisify)


def nonbragg(
    context: typer.Context,
    flags: Annotated[list[str], typer.Argument(metavar="FLAGS...", help="Flags of nonBragg.")],
    mode: ProgramModeOption = None,
    quirks: ProgramQuirksOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run nonBragg's command line: the pattern of an amorphous sample, in photons and with noise.

    Writes nonBragg's four images under its names, to the last bit; prints what it prints.

    \b
    Example:
      tiledsim nonbragg -stol water.stol -thickness 1 -flux 1e12 -distance 100 -detpixels 512
    """
    from tiledsim.nanobragg.nonbragg.program import parse_nonbragg, run_nonbragg
    from tiledsim.nanobragg.program_quirks import NONBRAGG_QUIRKS

    refuse_unknown_options(context, flags)
    command = parse_nonbragg(
        flags, quirks=_read_quirks(quirks, NONBRAGG_QUIRKS), mode=read_mode(mode, "c-parity")
    )
    _note(command.notes)
    _print(run_nonbragg(command), quiet)


def noisify(
    context: typer.Context,
    flags: Annotated[list[str], typer.Argument(metavar="FLAGS...", help="Flags of noisify.")],
    mode: ProgramModeOption = None,
    quirks: ProgramQuirksOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run noisify's command line: photon counting, gain, point spread and readout of an image.

    Reads a raw float image and writes noisify's three images under its names, to the last bit.

    \b
    Example:
      tiledsim noisify -floatfile img.bin -detpixels 512 -scale 0.01 -readout 3 -seed 1
    """
    from tiledsim.nanobragg.noisify.program import parse_noisify, run_noisify
    from tiledsim.nanobragg.program_quirks import NOISIFY_QUIRKS

    refuse_unknown_options(context, flags)
    command = parse_noisify(
        flags, quirks=_read_quirks(quirks, NOISIFY_QUIRKS), mode=read_mode(mode, "c-parity")
    )
    _note(command.notes)
    _print(run_noisify(command), quiet)


def _note(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"tiledsim: note: {note}", file=sys.stderr)


def _print(lines: Iterable[str], quiet: bool) -> None:
    if not quiet:
        print("\n".join(lines))


def _read_quirks(text: str | None, known: Mapping[str, str]) -> frozenset[str] | None:
    """Return the quirks of ``--quirks``, None where all are meant.

    Raises ExperimentError for a quirk that does not exist, naming the nearest one.
    """
    from tiledsim.errors import ExperimentError
    from tiledsim.experiment.validation import did_you_mean

    if text is None:
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    chosen = set(known) if words and words[0].startswith("-") else set()
    for word in words:
        name = word.removeprefix("-")
        if name == "none":
            chosen.clear()
        elif name == "all" or name in known:
            named = set(known) if name == "all" else {name}
            chosen = chosen - named if word.startswith("-") else chosen | named
        else:
            advice = did_you_mean(name, list(known)) or f"; known are {', '.join(known)}"
            raise ExperimentError(f"--quirks {name}: no such quirk{advice}")
    return frozenset(chosen)

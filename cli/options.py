"""Options that several commands share, and how their values are read."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiledsim.errors import ExperimentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tiledsim.experiment import Experiment
    from tiledsim.quirks import Mode, Quirk

FLAG_SETTINGS = {"ignore_unknown_options": True, "allow_interspersed_args": True}
"""For commands that take nanoBragg's flags: words with one dash are handed through."""

ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="spec|c-parity",
        help="spec: the model as documented; c-parity: nanoBragg.c with all its quirks.",
    ),
]
QuirksOption = Annotated[
    str | None,
    typer.Option(
        "--quirks",
        metavar="LIST",
        help="Quirks to have instead of the mode's: names with commas between, all or none; "
        "-NAME takes one away (all,-phi_carryover).",
    ),
]


def refuse_unknown_options(context: typer.Context, words: list[str]) -> None:
    """Raise ExperimentError for a word with two dashes, which is none of nanoBragg's flags."""
    from tiledsim.experiment.validation import did_you_mean

    for word in words:
        if word.startswith("--"):
            known = [name for parameter in context.command.params for name in parameter.opts]
            advice = did_you_mean(word, [name for name in known if name.startswith("--")])
            raise ExperimentError(f"{word}: no such option, and flags have one dash{advice}")


def read_mode(text: str | None, default: "Mode") -> "Mode":
    """Return the mode of ``--mode``; ExperimentError for one that does not exist."""
    modes: dict[str | None, Mode] = {None: default, "spec": "spec", "c-parity": "c-parity"}
    if text in modes:
        return modes[text]
    raise ExperimentError(f"--mode {text}: must be spec or c-parity")


def read_quirks(text: str | None, mode: "Mode") -> "tuple[Quirk, ...] | None":
    """Return the quirks of ``--quirks``, or None where the mode's own are meant.

    Raises ExperimentError for a quirk that does not exist, naming the nearest one.
    """
    from tiledsim.experiment.validation import did_you_mean
    from tiledsim.quirks import ALL_QUIRKS, quirks_of

    if text is None:
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    chosen = set(quirks_of(mode)) if words and words[0].startswith("-") else set()
    for word in words:
        name = word.removeprefix("-")
        if name == "none":
            chosen.clear()
            continue
        named = [quirk for quirk in ALL_QUIRKS if name in (quirk, "all")]
        if not named:
            advice = did_you_mean(name, ALL_QUIRKS) or f"; known are {', '.join(ALL_QUIRKS)}"
            raise ExperimentError(f"--quirks {name}: no such quirk{advice}")
        (chosen.difference_update if word.startswith("-") else chosen.update)(named)
    return tuple(quirk for quirk in ALL_QUIRKS if quirk in chosen)


SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Give a key of the experiment another value (rotation.start_deg=90), or KEY= to "
        "leave it out; may be given several times.",
    ),
]

IMAGE_ENDINGS = (".tif", ".tiff", ".cbf", ".img", ".smv", ".h5", ".nxs", ".hdf5", ".png", ".bin",
                 ".raw", ".mccd", ".npy")  # fmt: skip
"""Names that promise an image which is no Zarr store."""


def refuse_image_name(output: str) -> None:
    """Raise StoreError for a store whose name is empty or promises an image of another format."""
    from tiledsim.errors import StoreError

    if not output.strip():
        raise StoreError("-o is empty; give the name of the store, as image.zarr")
    if output.lower().endswith(IMAGE_ENDINGS):
        stem = output.rpartition(".")[0]
        raise StoreError(
            f"-o {output}: a run writes a Zarr store; write -o {stem}.zarr, and then "
            f"tiledsim export {stem}.zarr -o {output}"
        )


def flags_hint(arguments: list[str]) -> str:
    """Say that nanoBragg's flags stand after ``--``, where a command got them without it."""
    from tiledsim.nanobragg.command.flags import find_flag

    takes = ("describe", "plan", "trace", "parity")
    if not arguments or arguments[0] not in takes or "--" in arguments:
        return ""
    flags = [n for n, word in enumerate(arguments[1:], 1) if word[:1] == "-" and word[:2] != "--"]
    at = next((n for n in flags if find_flag(arguments[n])), None)
    if at is None:
        return ""
    return f"; nanoBragg's flags stand after --: tiledsim {arguments[0]} -- {arguments[at]} …"


def print_notes(notes: "Iterable[str]") -> None:
    """Print what a person should know, a line each, on standard error."""
    for note in notes:
        print(f"tiledsim: note: {note}", file=sys.stderr)


def read_experiment(
    words: list[str], mode: str | None, quirks: str | None, changes: list[str] | None = None
) -> "Experiment":
    """Return the experiment of a command: the name of a TOML file, or nanoBragg's flags.

    ``changes`` are what ``--set`` was given.
    Notes about how flags were taken are printed.

    Raises ExperimentError or InputFileError for what is not understood.
    """
    if not words:
        raise ExperimentError("no experiment: give a TOML file, or nanoBragg's flags after --")
    if len(words) == 1 and not words[0].startswith("-"):
        from tiledsim.experiment import load

        experiment = load(Path(words[0]), changes or ())
        modes: dict[str, object] = {}
        if mode is not None:
            modes |= {"mode": read_mode(mode, experiment.mode), "quirks": None}
        if quirks is not None:
            modes["quirks"] = read_quirks(quirks, read_mode(mode, experiment.mode))
        return experiment.replace(**modes) if modes else experiment
    from tiledsim.nanobragg.command.command import parse_nanobragg

    taken = read_mode(mode, "c-parity")
    command = parse_nanobragg(words, taken, quirks=read_quirks(quirks, taken))
    print_notes(command.notes)
    if not changes:
        return command.experiment
    return type(command.experiment).from_toml(command.experiment.to_toml(), Path.cwd(), changes)

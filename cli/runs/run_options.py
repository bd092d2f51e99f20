"""The options of a run as flags of a command: made of their one declaration, none is named here."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tiledsim.scheduler.options import Declared, RunOptions, declared

_UNITS = ("minutes", "seconds")


def flag_of(option: str) -> str:
    """Return the flag of an option: its name with dashes, without the unit at its end."""
    name, _, last = option.rpartition("_")
    return "--" + (name if name and last in _UNITS else option).replace("_", "-")


EXPORT_OPTIONS = (
    "to", "shots", "panels", "with_noise", "partial", "clip", "region", "scale", "colours", "size",
)  # fmt: skip
"""Of ``tiledsim export`` and ``picture``, named in their errors."""


def in_flags(text: str, kind: type[RunOptions] = RunOptions) -> str:
    """Return a text of the scheduler with flags where options are named, in backquotes."""
    known = {option.name for option in declared(kind)}

    def flag(found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        if name not in known and name not in EXPORT_OPTIONS:
            return found[0]
        return flag_of(name) + (f" {value}" if value else "")

    return re.sub(r"`([a-z_]+)(?:=([^`]*))?`", flag, text)


def takes_run_options(
    command: Callable[..., None], kind: type[RunOptions] = RunOptions
) -> Callable[..., None]:
    """Give a command a flag for each option of a run; it receives those given as ``options``.

    ``options`` is a parameter of the command; in what Typer sees, the flags stand in its place.
    """
    known = declared(kind)
    names = {option.name for option in known}

    def call(**given: Any) -> None:
        options = {n: v for n, v in given.items() if n in names and v is not None}
        command(**{n: v for n, v in given.items() if n not in names}, options=options)

    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == "options":
            parameters += [_parameter(option) for option in known]
        else:
            parameters.append(parameter)
    # Typer takes parameters in this order, and those without a default may come after others.
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [parameter.replace(kind=keyword) for parameter in parameters]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    call.__doc__ = command.__doc__
    call.__name__ = command.__name__
    return call


def _parameter(option: Declared) -> inspect.Parameter:
    """Return one flag as a parameter; its value is None where it is not given."""
    about, flag = option.about, flag_of(option.name)
    # The first type that the command line can read; what is in bounds, the options themselves say.
    value = next((v for v in option.choices if v in (bool, int, float, Path)), str)
    if tuple[int, int] in option.choices:
        value = tuple[int, int]
    unit = option.name.rpartition("_")[2]
    metavar = about.metavar or (unit.upper() if unit in _UNITS else "N")
    if value is bool:
        names = f"{flag}/--no-{flag[2:]}" if about.preset else flag
        said = typer.Option(names, help=_help(option), show_default=False)
    else:
        said = typer.Option(flag, metavar=metavar, help=_help(option), show_default=False)
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=None,
        annotation=Annotated[value | None, said],
    )  # fmt: skip


def _help(option: Declared) -> str:
    text = in_flags(option.about.help)
    shown = option.default not in (None, False)
    default = {True: "yes"}.get(option.default, option.default)
    return f"{text}  [default: {default}]" if shown else text

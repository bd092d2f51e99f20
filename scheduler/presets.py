"""Options that nobody gave: from the environment, else from the experiment's ``[run]`` table.

``TILEDSIM_WORKERS=4`` and ``workers = 4`` below ``[run]`` are what ``workers=4`` is in Python and
``--workers 4`` on the command line.  What is given counts before the environment, the environment
before the file, and the file before the default.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiledsim.errors import OptionError
from tiledsim.scheduler.options import Declared, RunOptions, Where, check, declared

PREFIX = "TILEDSIM_"
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")


def resolve(
    given: Mapping[str, Any], table: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None, kind: type[RunOptions] = RunOptions, *,
    placed: bool = False,
) -> RunOptions:  # fmt: skip
    """Return the options of a run from all places where they may stand.

    Parameters
    ----------
    given
        Options by name, those of :class:`~tiledsim.scheduler.options.Where` among them.
    table
        The ``[run]`` table of an experiment.
    environment
        Variables; those of this process by default.
    kind
        The class of the options.
    placed
        Whether it is decided where to run, by a client: what is preset of it does not count then.

    Raises
    ------
    OptionError
        For a value that an option cannot have, or a preset that is no option; it says where the
        value stands.
    TypeError
        For a keyword argument that is no option.
    """
    known = {each.name: each for each in declared(kind)}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise TypeError(
                f"run() has no option {name!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}")
            )
    variables = _of_environment(known, os.environ if environment is None else environment)
    values: dict[str, Any] = {}
    for source, names in (
        (_of_table(known, table or {}), {name: f"[run] {name}" for name in known}),
        (variables, {name: PREFIX + name.upper() for name in known}),
    ):
        for part in (Where, kind):
            mine = {n: v for n, v in source.items() if known[n].where == (part is Where)}
            values |= check(part, mine, names)
    values |= given
    return kind.of(_without_rivals(values, given, placed))


def _without_rivals(
    values: dict[str, Any], given: Mapping[str, Any], placed: bool
) -> dict[str, Any]:
    """Drop presets of where to run that exclude a place that was given: that one counts."""
    places = ("scheduler", "scheduler_file", "cluster", "gpus")
    if not placed and all(given.get(name) is None for name in places):
        return values
    inside = {each.name for each in declared() if each.where}
    return {n: v for n, v in values.items() if n in given or n not in inside}


def _of_table(known: Mapping[str, Declared], table: Mapping[str, Any]) -> dict[str, Any]:
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
            raise OptionError(f"[run] {name}: no such key; {advice}")
        if not known[name].about.preset:
            raise OptionError(f"[run] {name}: cannot be preset; give `{name}` for the run that it "
                              "is meant for")  # fmt: skip
    return dict(table)


def _of_environment(
    known: Mapping[str, Declared], environment: Mapping[str, str]
) -> dict[str, Any]:
    names = {PREFIX + name.upper(): name for name in known}
    found = {}
    for variable, text in environment.items():
        name = names.get(variable)
        if name is None:
            near = difflib.get_close_matches(variable, names, n=1, cutoff=0.9)
            if variable.startswith(PREFIX) and near:
                raise OptionError(
                    f"the variable {variable} is none of tiledsim; did you mean {near[0]}?"
                )
        elif not known[name].about.preset:
            raise OptionError(f"the variable {variable} cannot be set; give `{name}` for the run "
                              "that it is meant for")  # fmt: skip
        elif text:
            found[name] = _read(known[name], text)
    return found


def _read(option: Declared, text: str) -> Any:
    """Return the value that a text stands for; the text itself, to be refused, where it is none."""
    kinds = option.choices
    if bool in kinds:
        word = text.strip().lower()
        return True if word in _YES else False if word in _NO else text
    for kind, read in ((int, int), (float, float)):
        if kind in kinds:
            try:
                return read(text)
            except ValueError:
                return text
    if tuple[int, int] in kinds:
        return tuple(
            int(word) if word.isdecimal() else word for word in re.split(r"[\s,x×]+", text.strip())
        )
    return Path(text) if Path in kinds else text

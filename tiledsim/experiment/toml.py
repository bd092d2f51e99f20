"""Experiments as TOML: what people write and read."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import tomli_w
from pydantic import BaseModel, ValidationError

from tiledsim.errors import ExperimentError
from tiledsim.experiment.consistency import contradictions, flattened
from tiledsim.experiment.validation import BETWEEN, explain
from tiledsim.io.paths import user_path

LARGEST_EXPERIMENT: Final = 2 * 2**20
"""Bytes of an experiment file; what is longer belongs into a file of its own."""
DEEPEST: Final = 32
"""Tables within tables, lists within lists, parts of a dotted key."""
LONGEST_LINE: Final = 100
"""Characters up to which a list stands on one line."""
LONGEST_WORD: Final = 400
"""Characters of a number or a key."""

_QUOTED: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"""|' + r"'''(?:[^']|'(?!''))*+'''|"
    r'"(?:[^"\\\n]|\\.)*+"|' + r"'[^'\n]*+'|#[^\n]*+",
    re.DOTALL,
)


def parse_toml(text: str, what: str = "TOML") -> dict[str, Any]:
    """Return the keys and values of a TOML text.

    Raises ExperimentError, with the line, for what is not TOML; and before it is parsed, for what
    is larger, nested deeper or has longer numbers than anything that a person writes.
    """
    if len(text) > LARGEST_EXPERIMENT:
        raise ExperimentError(
            f"{len(text):,} characters of {what}, at most {LARGEST_EXPERIMENT:,} are read; long "
            "lists belong into files of their own (beam.source_file, crystal.mosaic.matrices_file)"
        )
    _refuse_what_is_no_description(_QUOTED.sub("s", text))
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, OverflowError) as error:
        raise ExperimentError(f"not valid TOML: {error}") from None
    except RecursionError:
        raise ExperimentError(f"not valid TOML: nested deeper than {DEEPEST}") from None


def _refuse_what_is_no_description(bare: str) -> None:
    """Refuse depths and lengths; ``bare`` is the text without quoted parts and comments."""
    for word in re.finditer(r"[\w.+-]++", bare):
        if word.end() - word.start() > LONGEST_WORD:
            line = bare.count("\n", 0, word.start()) + 1
            raise ExperimentError(
                f"not valid TOML: a word or number of {word.end() - word.start():,} characters in "
                f"line {line}; at most {LONGEST_WORD} are read"
            )
    deepest = depth = 0
    for bracket in re.finditer(r"[\[\]{}]", bare):
        depth = depth + 1 if bracket.group() in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    dots = max(part.count(".") for part in re.split(r"[\[\]{},=\n]", bare))
    if max(deepest, dots) > DEEPEST:
        raise ExperimentError(
            f"not valid TOML: nested {max(deepest, dots)} deep; nothing here is deeper than 3"
        )


def parse_experiment(text: str, base: Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the keys and values of an experiment's TOML.

    ``file``, ``table``, ``geometry`` and keys that end in ``_file`` name files; relative names are
    taken from the folder ``base`` and made absolute; those in ``changes`` from the current folder.
    Raises ExperimentError as :func:`parse_toml`.
    """
    fields = parse_toml(text, "an experiment")
    resolve_files(fields, base.absolute())
    for assignment in changes:
        change(fields, assignment)
    return fields


def resolve_files(value: Any, base: Path) -> None:
    """Make the names of files absolute, in place, in tables and lists of any depth."""
    if isinstance(value, dict):
        for key, entry in value.items():
            names_file = key in ("file", "table", "geometry") or str(key).endswith("_file")
            if names_file and isinstance(entry, str):
                value[key] = base / user_path(entry)
            else:
                resolve_files(entry, base)
    elif isinstance(value, list):
        for entry in value:
            resolve_files(entry, base)


def change(fields: dict[str, Any], assignment: str) -> None:
    """Set one key of an experiment, as ``section.key=value``; ``list[0]`` is the first of a list.

    The value is TOML; a text may go without quotes.  Without a value the key is removed, so that
    another one may take its place.  Raises ExperimentError for what is not understood.
    """
    key, equals, text = (part.strip() for part in assignment.partition("="))
    if not equals or not _KEY.fullmatch(key):
        raise ExperimentError(
            f"{assignment[:80]}: must be key=value, as in rotation.start_deg=90, or key= to leave "
            "the key out"
        )
    steps: list[int | str] = [int(i) if i else name for name, i in _STEP.findall(key)]
    at: Any = fields
    for name, following in pairwise(steps):
        if isinstance(at, dict) and isinstance(following, str):
            at.setdefault(name, {})
        at = _found(at, name)
    if not isinstance(at, dict) and _found(at, steps[-1]) is None:
        raise ExperimentError(f"{key}: no such key in the experiment, whose lists begin with [0]")
    if text:
        holder = {steps[-1]: _value(key, text)}
        resolve_files(holder, Path.cwd())
        at[steps[-1]] = holder[steps[-1]]
    elif isinstance(at, dict):
        at.pop(steps[-1], None)
    else:
        del at[steps[-1]]


_KEY: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+|\[\d{1,9}\])*")
_STEP: Final = re.compile(r"([A-Za-z0-9_-]+)|\[(\d+)\]")


def _found(at: Any, name: int | str) -> Any:
    """Return what is at a name of a table or an index of a list; None where nothing is."""
    if isinstance(at, dict):
        return at.get(name)
    inside = isinstance(at, list) and isinstance(name, int) and name < len(at)
    return at[name] if inside else None


def _value(key: str, text: str) -> Any:
    try:
        parsed = parse_toml(f"value = {text}", key)
    except ExperimentError as error:
        if text[0] in "\"'[{" or "\n" in text:
            raise ExperimentError(f"{key} = {text[:80]}: {error}") from None
        return text
    if len(parsed) > 1:
        raise ExperimentError(f"{key}: more than one line")
    return parsed["value"]


def experiment_error(
    model: type[BaseModel], error: ValidationError, fields: Mapping[str, Any] = MappingProxyType({})
) -> ExperimentError:
    """Turn a report of pydantic into an ExperimentError that names every mistake in ``fields``."""
    sentences = explain(model, error).split(BETWEEN)
    sentences += [said for said in contradictions(flattened(fields)) if said not in sentences[-1]]
    return ExperimentError(BETWEEN.join(sentences))


def format_experiment(experiment: BaseModel) -> str:
    """Write an experiment as TOML without the fields that have their default.

    Raises ExperimentError where a text or a file name holds characters that TOML cannot.
    """
    return format_fields({"version": 1} | experiment.model_dump(exclude_defaults=True))


def format_fields(fields: Mapping[str, Any]) -> str:
    """Write keys and sections as TOML.

    Raises ExperimentError where a text or a file name holds characters that TOML cannot.
    """
    text = "\n".join(_tables({"": fields}))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ExperimentError("a file name is not UTF-8 and cannot be written in TOML") from None
    return text


def _tables(tables: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of each table, the one without a name first and parts after their whole."""
    for name, table in tables.items():
        values = {key: _plain(value) for key, value in table.items() if value is not None}
        inner = {key: value for key, value in values.items() if isinstance(value, dict)}
        lists = {key: value for key, value in values.items() if _holds_tables(value)}
        lines = [_line(k, v) for k, v in values.items() if k not in inner and k not in lists]
        if lines or lists or not inner:
            head = f"[{name}]\n" if name else ""
            yield head + "".join(lines)
        for key, entries in lists.items():
            whole = f"{name}.{key}" if name else key
            yield "\n".join(
                f"[[{whole}]]\n" + "".join(_line(k, v) for k, v in entry.items())
                for entry in entries
            )
        yield from _tables({f"{name}.{key}" if name else key: inner[key] for key in inner})


def _holds_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _line(key: str, value: Any) -> str:
    """Write one value; a short list of numbers on one line, where tomli_w gives each its own."""
    text = tomli_w.dumps({key: value})
    if isinstance(value, list) and value and all(isinstance(v, int | float) for v in value):
        joined = " ".join(line.strip() for line in text.splitlines())
        joined = joined.replace("[ ", "[").replace(", ]", "]")
        return f"{joined}\n" if len(joined) <= LONGEST_LINE else text
    return text


def _plain(value: Any) -> Any:
    """Replace tuples and paths by what TOML has."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value

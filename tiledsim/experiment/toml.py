"""Experiments as TOML: what people write and read."""

import re
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from tiledsim.errors import ExperimentError
from tiledsim.experiment.validation import explain


def parse_experiment(text: str, base: Path) -> dict[str, Any]:
    """Return the keys and values of an experiment's TOML.

    ``file`` and keys that end in ``_file`` name files; relative names are taken from the folder
    ``base`` and made absolute.  Raises ExperimentError, with the line, for what is not TOML.
    """
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"not valid TOML: {error}") from None
    _resolve_files(fields, base.absolute())
    return fields


def _resolve_files(value: Any, base: Path) -> None:
    if isinstance(value, dict):
        for key, entry in value.items():
            if (key == "file" or key.endswith("_file")) and isinstance(entry, str):
                value[key] = base / Path(entry).expanduser()
            else:
                _resolve_files(entry, base)
    elif isinstance(value, list):
        for entry in value:
            _resolve_files(entry, base)


def experiment_error(model: type[BaseModel], error: ValidationError) -> ExperimentError:
    """Turn a report of pydantic into an ExperimentError of one line that names the key."""
    return ExperimentError(explain(model, error))


def format_experiment(experiment: BaseModel) -> str:
    """Write an experiment as TOML without the fields that have their default.

    Raises ExperimentError where a text or a file name holds characters that TOML cannot.
    """
    fields = {"version": 1} | experiment.model_dump(mode="python", exclude_defaults=True)
    text = tomli_w.dumps(_plain(fields))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ExperimentError("a file name is not UTF-8 and cannot be written in TOML") from None
    return _NUMBERS_ON_LINES.sub(_on_one_line, text)


# tomli_w gives every element a line of its own.  Line breaks within texts are escaped, so that
# this meets lists of numbers only.
_NUMBERS_ON_LINES = re.compile(r"\[\n(?:\s*[-+0-9.e]+,\n)+\s*\]")


def _on_one_line(numbers: re.Match[str]) -> str:
    line = f"[{', '.join(numbers.group().strip('[]').replace(',', ' ').split())}]"
    return line if len(line) <= 80 else numbers.group()


def _plain(value: Any) -> Any:
    """Replace tuples and paths by what TOML has."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value

"""What distinguishes the experiment that a store was made of from another, for people."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from tiledsim.experiment import Experiment


def first_difference(kept: str, experiment: Experiment) -> str:
    """Name the first key, in the order of experiment files, that differs from a kept TOML text."""
    try:
        before = dict(_flat(tomllib.loads(kept)))
    except tomllib.TOMLDecodeError:
        return "that of the store cannot be read"
    now = dict(_flat(tomllib.loads(experiment.to_toml())))
    for key in (*now, *before):
        if key.startswith("run."):  # no image depends on it
            continue
        old, new = (_shown(values.get(key)) for values in (before, now))
        if old != new:
            return f"{key} is {old} in the store, {new} now"
    return "a file that it names had other contents"


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    if value is None:
        return "its default"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

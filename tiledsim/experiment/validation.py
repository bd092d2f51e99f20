"""Say in one line what is wrong with a description: what was given, what is allowed, what to do.

pydantic finds the mistakes; its reports span several lines, speak of Python types and do not know
which key was meant.  Here they become the sentence that a person needs.
"""

import difflib
import math
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

Model = type[BaseModel]


BETWEEN: Final = "; also: "
"""Stands between two mistakes."""
MOST_TOLD: Final = 20
"""Mistakes that are told of at once; the rest are counted."""


def explain(model: Model, error: ValidationError, names: Mapping[str, str] | None = None) -> str:
    """Return a sentence for every mistake that ``error`` reports, on one line.

    ``names`` maps dotted keys to what the user wrote for them, where that was not the key itself.
    """
    # A misspelt key makes others missing; it is the cause, so it is told first.
    details = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
    told: dict[str, str] = {}
    for detail in details:  # the alternatives of a union report one value several times
        told.setdefault(
            _locate(model, _location(detail)).key, _sentence(model, detail, names or {})
        )
    sentences = list(told.values())
    more = len(sentences) - MOST_TOLD
    text = BETWEEN.join(sentences[:MOST_TOLD])
    return text if more <= 0 else f"{text} (and {more} more)"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like ``word``, or None if none is much like it."""
    table = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), table, n=1, cutoff=0.6)
    return table[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or nothing."""
    found = nearest(word, known)
    return f"; did you mean '{found}'?" if found else ""


def keys(model: Model, prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every value that a model and its parts take."""
    for name, field in model.model_fields.items():
        part = _part(field.annotation)
        if part is None:
            yield prefix + name
        else:
            yield from keys(part, f"{prefix}{name}.")


class _Place:
    """Where a report points: its dotted key, the model that holds it and the annotation."""

    def __init__(self, key: str, owner: Model, annotation: object, unknown: str | None) -> None:
        self.key = key
        self.owner = owner
        self.annotation = annotation
        self.unknown = unknown


def _locate(model: Model, location: tuple[int | str, ...]) -> _Place:
    """Follow a location through the parts; what pydantic adds for unions is left out."""
    key, owner = "", model
    annotation: object = model
    inside: Model | None = model
    for step in location:
        if isinstance(step, int):
            key += f"[{step}]"
            annotation = _element(annotation, step)
            inside = _part(annotation)
        elif (element := _entry(annotation)) is not None:
            key, annotation = f"{key}.{step}", element
            inside = _part(annotation)
        elif inside is not None and step in inside.model_fields:
            key += f".{step}" if key else step
            owner = inside
            annotation = Annotated[owner.model_fields[step].annotation, owner.model_fields[step]]
            inside = _part(annotation)
        elif inside is not None:
            return _Place(f"{key}.{step}" if key else step, inside, None, step)
    return _Place(key, inside or owner, annotation, None)


def _location(detail: ErrorDetails) -> tuple[int | str, ...]:
    """Return where a mistake is; of a list that is too short that is the list, not its end."""
    short = detail["type"] == "missing" and isinstance(detail["input"], list | tuple)
    return detail["loc"][:-1] if short else detail["loc"]


def _sentence(model: Model, detail: ErrorDetails, names: Mapping[str, str]) -> str:
    place = _locate(model, _location(detail))
    kind, given = detail["type"], detail["input"]
    name = _written(place.key, names)
    if place.unknown is not None:
        return f"{place.key}: no such key{_known_keys(model, place)}"
    if kind == "value_error":
        return f"[{name}] {detail['ctx']['error']}" if name else str(detail["ctx"]["error"])
    if kind == "missing" and not isinstance(given, list | tuple):
        what = "section" if _part(place.annotation) else "key"
        return f"{name} is missing: the {what} must be given, as {allowed(place.annotation)}"
    must = allowed(place.annotation)
    if kind == "finite_number":
        must = must.replace("a number", "a finite number")
    if kind in ("beyond_reason", "length_0"):
        must += detail["msg"]
    text = f"{name}{' = ' if name == place.key else ' '}{_shown(given)}: must be {must}"
    choices = _choices(place.annotation)
    return text + did_you_mean(given, choices) if isinstance(given, str) and choices[3:] else text


def _written(key: str, names: Mapping[str, str]) -> str:
    """Return what the user wrote for a key, or for the list of which it is one element."""
    whole, bracket, index = key.rpartition("[")
    if key not in names and bracket and whole in names:
        return f"{names[whole]}, value {int(index.rstrip(']')) + 1},"
    return names.get(key, key)


def _known_keys(model: Model, place: _Place) -> str:
    """Return advice for an unknown key: the nearest one of its section, of any, or all of them."""
    assert place.unknown is not None
    section = place.key.removesuffix(place.unknown)
    here = {name: section + name for name in place.owner.model_fields}
    anywhere = {key.rpartition(".")[2]: key for key in keys(model)}
    if place.unknown in anywhere:
        return f"; did you mean '{anywhere[place.unknown]}'?"
    for known in (here, anywhere):
        found = nearest(place.unknown, known)
        if found:
            return f"; did you mean '{known[found]}'?"
    return f"; known here: {', '.join(place.owner.model_fields)}"


def allowed(annotation: object) -> str:
    """Say in words what a type annotation with its bounds allows."""
    annotation, bounds = _bare(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(allowed(part) for part in arguments if part is not type(None))
    if origin is Literal:
        return _either([_shown(value) for value in arguments])
    if origin is dict:
        return f"a table with, for each name, {allowed(arguments[1])}"
    if origin is tuple:
        return _list_of(arguments)
    if annotation is bool:
        return "true or false"
    if annotation is int:
        return "a whole number" + _bounds(bounds)
    if annotation is float:
        return "a number" + _bounds(bounds)
    if annotation is Path:
        return "the name of a file, in quotes"
    return "a table of keys" if _part(annotation) else "a text, in quotes"


def _list_of(arguments: tuple[object, ...]) -> str:
    count = "" if Ellipsis in arguments else f"{len(arguments)} "
    element = allowed(arguments[0])
    for article in ("a ", "the "):
        element = element.removeprefix(article)
    first, space, rest = element.partition(" ")
    if first == "whole":
        first, space, rest = "whole numbers", "", rest.removeprefix("number")
    elif first in ("number", "list", "table"):
        first += "s"
    return f"a list of {count}{first}{space}{rest}"


def _bounds(metadata: list[object]) -> str:
    found = {
        name: getattr(entry, name)
        for entry in metadata
        for name in ("gt", "ge", "le")
        if getattr(entry, name, None) is not None
    }
    if "ge" in found and "le" in found and (found["le"] < 2**31 - 1 or found["ge"] != 1):
        return f" from {found['ge']:g} to {found['le']:g}"
    if "gt" in found:
        return f" above {found['gt']:g}"
    return f" of at least {found['ge']:g}" if "ge" in found else ""


def _bare(annotation: object) -> tuple[object, list[object]]:
    """Split an annotation into the type and the bounds that Annotated and Field put around it."""
    bounds: list[object] = []
    while get_origin(annotation) is Annotated:
        annotation, *extra = get_args(annotation)
        for entry in extra:
            bounds += entry.metadata if isinstance(entry, FieldInfo) else [entry]
    return annotation, bounds


def _element(annotation: object, index: int) -> object:
    """Return the annotation of one element of a list, also inside a union."""
    annotation, _ = _bare(annotation)
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        tuples = [part for part in arguments if get_origin(_bare(part)[0]) is tuple]
        return _element(tuples[0], index) if tuples else annotation
    if get_origin(annotation) is not tuple:
        return annotation
    return arguments[0] if Ellipsis in arguments else arguments[min(index, len(arguments) - 1)]


def _entry(annotation: object) -> object:
    """Return the annotation of the entries of a table of parts, by name; None for all else."""
    annotation, _ = _bare(annotation)
    is_table = get_origin(annotation) is dict and _part(annotation) is not None
    return get_args(annotation)[1] if is_table else None


def _part(annotation: object) -> Model | None:
    """Return the model that an annotation stands for, alone, optional or in a list, if any."""
    annotation, _ = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((part for each in get_args(annotation) if (part := _part(each))), None)


def _choices(annotation: object) -> list[str]:
    annotation, _ = _bare(annotation)
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _shown(value: object) -> str:
    """Return a value as TOML would write it, cut to a length that fits in a message."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(_shown(element) for element in value)}]"
    elif isinstance(value, str):
        text = repr(value)
    elif isinstance(value, float):
        text = f"{value:.15g}"
    elif isinstance(value, dict):
        text = "{…}" if value else "{}"
    elif isinstance(value, int) and abs(value) >= 10**60:
        text = f"a number of {int(math.log10(abs(value))) + 1} digits"
    else:
        text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"

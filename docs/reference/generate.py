"""Pages of the site that are made from the program itself: keys, commands, the Python API.

MkDocs calls :func:`on_files` (``hooks`` in mkdocs.yml).
"""

import ast
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PYTHON = {
    "An experiment, and its images": [
        "tiledsim.load",
        "tiledsim.Experiment",
        "tiledsim.simulate",
        "tiledsim.build_scene",
        "tiledsim.Scene",
        "tiledsim.Tile",
        "tiledsim.spots",
        "tiledsim.experiment_from_nanobragg",
        "tiledsim.trace",
        "tiledsim.PixelTrace",
    ],
    "Runs and stores": [
        "tiledsim.scheduler.run",
        "tiledsim.scheduler.RunOptions",
        "tiledsim.scheduler.Where",
        "tiledsim.scheduler.ClusterConfig",
        "tiledsim.scheduler.add_noise",
        "tiledsim.scheduler.open",
        "tiledsim.scheduler.lazy",
        "tiledsim.scheduler.Summary",
        "tiledsim.scheduler.Plan",
    ],
}


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the generated pages."""
    from mkdocs.structure.files import File

    pages = {
        "reference/experiment.md": experiment_page,
        "reference/commands.md": commands_page,
        "reference/python.md": python_page,
    }
    for path, make in pages.items():
        files.append(File.generated(config, path, content=make()))
    return files


# -- keys of an experiment ------------------------------------------------------------------------


def experiment_page() -> str:
    """Return a table for each table of an experiment file."""
    from tiledsim.experiment import Experiment

    lines = [
        "# Every key of an experiment",
        "",
        "Made from the program's own models. A unit stands at the end of a key's name.",
        "",
    ]
    for name, model in tables(Experiment, ""):
        lines += ["## " + (f"`[{name}]`" if name else "Top level"), ""]
        if model.__doc__:
            lines += [model.__doc__.strip(), ""]
        lines += ["| key | kind | default | what it is |", "|---|---|---|---|"]
        described = descriptions(model)
        for key, field in model.model_fields.items():
            if not is_table(field):
                cells = (f"`{key}`", kind(field), default(field), described.get(key, ""))
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return what the text under each field of a model's source says of it."""
    (written,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(written, ast.ClassDef)
    found = {}
    for field, below in itertools.pairwise(written.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[field.target.id] = " ".join(text.split())
    return found


def tables(model: type[BaseModel], name: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the tables of a model with their dotted names, its own first."""
    yield name, model
    for key, field in model.model_fields.items():
        for below in models_in(field.annotation):
            yield from tables(below, f"{name}.{key}" if name else key)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that an annotation names, wherever they stand in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def is_table(field: FieldInfo) -> bool:
    """Whether a field is a table of its own and nothing else."""
    return bool(models_in(field.annotation))


def kind(field: FieldInfo) -> str:
    """Return what a field holds, and its range."""
    text = annotation_text(field.annotation)
    limits = [limit for part in field.metadata if (limit := range_text(part))]
    return ", ".join([text, *limits])


def range_text(constraint: object) -> str:
    """Return a constraint as a person reads it; "" for none."""
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("min_length", "at least"))
    found = [(sign, getattr(constraint, name, None)) for name, sign in signs]
    return ", ".join(f"{sign} {value:g}" for sign, value in found if value is not None)


NAMES = {"float": "number", "int": "whole number", "bool": "true or false", "str": "text",
         "Path": "file name", "NoneType": ""}  # fmt: skip


def annotation_text(annotation: Any) -> str:
    """Return a type as a person reads it."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        limits = [text for part in parts[1:] for text in metadata_texts(part)]
        return " ".join([annotation_text(parts[0]), *limits])
    if origin is typing.Literal:
        return ", ".join(f"`{value!r}`" for value in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(text for part in parts if (text := annotation_text(part)))
    if origin is tuple:
        if len(parts) == 2 and parts[1] is Ellipsis:
            return f"list of {annotation_text(parts[0])}"
        same = len(set(parts)) == 1
        return f"{len(parts)} × {annotation_text(parts[0])}" if same else "list"
    return NAMES.get(getattr(annotation, "__name__", ""), getattr(annotation, "__name__", "value"))


def metadata_texts(part: object) -> list[str]:
    """Return the limits in a piece of an annotation."""
    inner = part.metadata if isinstance(part, FieldInfo) else [part]
    return [text for constraint in inner if (text := range_text(constraint))]


def default(field: FieldInfo) -> str:
    """Return the default as TOML would have it."""
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value is PydanticUndefined:
        return "not given"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value!r}`"


# -- commands -------------------------------------------------------------------------------------


def commands_page() -> str:
    """Return the help of every command."""
    import typer.main

    from tiledsim.cli.main import app

    group = typer.main.get_command(app)
    lines = ["# Every command", "", "What `tiledsim COMMAND --help` prints.", ""]
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    for name, command in sorted(group.commands.items()):
        context = command.make_context(name, [], resilient_parsing=True)
        lines += [f"## tiledsim {name}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines)


# -- the Python API -------------------------------------------------------------------------------


def python_page() -> str:
    """Return directives that mkdocstrings fills in."""
    lines = ["# From Python", ""]
    for title, names in PYTHON.items():
        lines += [f"## {title}", ""]
        for name in names:
            lines += [f"::: {home(name)}", "    options: {heading_level: 3}", ""]
    return "\n".join(lines)


def home(name: str) -> str:
    """Return where a name that is imported on first use is really defined."""
    import importlib

    module, attribute = name.rsplit(".", 1)
    value = getattr(importlib.import_module(module), attribute)
    return f"{value.__module__}.{value.__qualname__}"

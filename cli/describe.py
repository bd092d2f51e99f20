"""``tiledsim describe``: what an experiment comes to, and why."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tiledsim.cli.options import ModeOption, QuirksOption, SetOption, read_experiment

if TYPE_CHECKING:
    from tiledsim.fact import Fact, Value


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("describe")(describe)


def describe(
    experiment: Annotated[
        list[str],
        typer.Argument(metavar="EXPERIMENT.toml | -- FLAGS...", help="What to describe."),
    ],
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    changes: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show geometry, cell, sources, orientations and what was chosen automatically, and why.

    Nothing is rendered.

    \b
    Examples:
      tiledsim describe experiment.toml
      tiledsim describe --mode spec -- -cell 70 80 90 75 85 95 -default_F 100 -N 5
    """
    from tiledsim import description
    from tiledsim.scene.build import build_scene

    parsed = read_experiment(experiment, mode, quirks, changes)
    scene = build_scene(parsed)
    sections = description.describe(parsed, scene)
    from tiledsim.cli.options import print_notes

    if as_json:
        print_notes(description.announcements(parsed, scene))
        facts = {name: [asdict(fact) for fact in found] for name, found in sections.items()}
        print(json.dumps(facts, indent=2))
        return
    for name, found in sections.items():
        print(name)
        for fact in found:
            print(f"  {_line(fact)}")
    for line in description.announcements(parsed, scene):
        print(f"note: {line}")


def _line(fact: "Fact") -> str:
    text = f"{fact.name:22} {_shown(fact.value)} {fact.unit}".rstrip()
    return f"{text}  ({fact.why})" if fact.why else text


def _shown(value: "Value") -> str:
    if isinstance(value, list):
        return "  ".join(_shown(element) for element in value)
    if isinstance(value, float):
        return f"{value:.9g}"
    return f"{value:,}" if isinstance(value, int) else value

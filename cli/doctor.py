"""``tiledsim doctor``: what this machine has, and what tiledsim would use of it."""

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show cores, memory, CuPy, GPUs and versions, and which kernel would render.

    \b
    Example:
      tiledsim doctor
    """
    from tiledsim.machine import examine

    sections = examine()
    if as_json:
        print(json.dumps(sections, indent=2))
        return
    for name, found in sections.items():
        print(name)
        for key, value in found.items():
            print(f"  {key:22} {value}")

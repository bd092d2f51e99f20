"""``tiledsim plan``: what a run would do."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from tiledsim.cli.options import ModeOption, QuirksOption, SetOption, read_experiment
from tiledsim.cli.runs.progress import plan_lines
from tiledsim.cli.runs.run_options import takes_run_options
from tiledsim.cli.runs.running import announce


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("plan")(takes_run_options(plan))


def plan(
    experiment: Annotated[
        list[str],
        typer.Argument(metavar="EXPERIMENT.toml | -- FLAGS...", help="What would be rendered."),
    ],
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    changes: SetOption = None,
    *,
    options: dict[str, Any],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show pixels, steps, tiles, bytes, memory and estimated time of a run; nothing is rendered.

    Takes the options of tiledsim run; those that do not change the plan have no effect on it.

    \b
    Examples:
      tiledsim plan experiment.toml --workers 4
      tiledsim plan -- -cell 70 80 90 75 85 95 -default_F 100 -N 5
    """
    from tiledsim.scene.build import build_scene
    from tiledsim.scheduler.launch import choose_workers
    from tiledsim.scheduler.presets import resolve
    from tiledsim.scheduler.session.plan import make_plan
    from tiledsim.scheduler.store.layout import choose_layout, usual_tile

    parsed = read_experiment(experiment, mode, quirks, changes)
    chosen = resolve(options, parsed.run)
    place, name = choose_workers(chosen.backend, chosen.dtype, chosen.where)
    scene = build_scene(parsed)
    layout = choose_layout(scene, chosen.tile or usual_tile(scene, name))
    made = make_plan(
        scene, layout, workers=place.workers, threads=place.threads, backend=name,
        dtype=chosen.dtype, capability=place.capability,
    )  # fmt: skip
    if as_json:
        print(json.dumps(asdict(made), indent=2))
        return
    announce(parsed, scene)
    for line in plan_lines(made):
        print(line)

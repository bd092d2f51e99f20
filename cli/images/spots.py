"""``tiledsim spots``: the reflections that an experiment brings onto its detector."""

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiledsim.cli.options import ModeOption, QuirksOption, SetOption, read_experiment
from tiledsim.errors import InputFileError

if TYPE_CHECKING:
    import numpy as np

COLUMNS = {
    "shot": "d",
    "panel": "d",
    "h": "d",
    "k": "d",
    "l": "d",
    "fast_px": ".3f",
    "slow_px": ".3f",
    "two_theta_deg": ".4f",
    "wavelength_A": ".6f",
    "photons": ".6g",
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("spots")(spots)


def spots(
    experiment: Annotated[
        list[str],
        typer.Argument(metavar="EXPERIMENT.toml | -- FLAGS...", help="What would be rendered."),
    ],
    mode: ModeOption = None,
    quirks: QuirksOption = None,
    changes: SetOption = None,
    minimum: Annotated[
        float, typer.Option("--min-photons", min=0.0, help="Leave out what is fainter.")
    ] = 0.0,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE.csv", help="Write a table for programs.")
    ] = None,
) -> None:
    """List the reflections of each shot: where on the detector, angle, wavelength and photons.

    Nothing is rendered. Pixels count from the outer corner of the first one.

    \b
    Examples:
      tiledsim spots experiment.toml --min-photons 10
      tiledsim spots experiment.toml --set rotation.start_deg=90
      tiledsim spots --csv spots.csv -- -cell 70 80 90 75 85 95 -default_F 100 -N 20 -gauss_xtal
    """
    from tiledsim.reach.predict import spots as predict

    found = predict(read_experiment(experiment, mode, quirks, changes), minimum_photons=minimum)
    if table is None:
        print("  ".join(f"{name:>13}" for name in COLUMNS))
        for row in found:
            print("  ".join(f"{format(v, f):>13}" for v, f in _values(row)))
    else:
        try:
            with table.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows([repr(v) for v, _ in _values(row)] for row in found)
        except OSError as error:
            raise InputFileError(f"{table}: cannot be written: {error.strerror}") from None
    print(f"{len(found):,} spots, {found['photons'].sum():.6g} photons", file=sys.stderr)


def _values(row: "np.void") -> list[tuple[int | float, str]]:
    return [(row[name].item(), form) for name, form in COLUMNS.items()]

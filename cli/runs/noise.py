"""``tiledsim noise``: counts of an image that is stored as photons."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tiledsim.cli.options import read_mode
from tiledsim.cli.runs.run_options import takes_run_options
from tiledsim.cli.runs.running import QuietOption, command_line, with_progress


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("noise")(takes_run_options(noise))


def noise(
    source: Annotated[str, typer.Argument(metavar="OUT.zarr", help="The store of photons.")],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="NOISY.zarr", help="The store of counts.")
    ],
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", min=0, max=2**32 - 1, help="Instead of the noise section's."
        ),
    ] = None,
    noise_file: Annotated[
        Path | None,
        typer.Option(
            "--noise",
            metavar="FILE.toml",
            help="A file with a [noise] table, such as another experiment; by default the store's "
            "own, else Poisson noise alone.",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            metavar="spec|c-parity",
            help="spec: Philox; c-parity: nanoBragg's and noisify's serial generator, to the bit. "
            "By default that of the [noise] table, else that of the store.",
        ),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Count an unfinished store; missing tiles become gaps."),
    ] = False,
    *,
    options: dict[str, Any],
    quiet: QuietOption = False,
) -> None:
    """Count the photons of a store, with the noise of a detector, into another store.

    The counts are those that the run itself would have stored with the same [noise] table, whatever
    the tiles, the workers or their number.  It is a run like others: --resume continues it.

    In the mode c-parity one thread draws a whole image, as the C programs do.

    \b
    Examples:
      tiledsim noise image.zarr -o counts.zarr
      tiledsim noise image.zarr -o counts.zarr --seed 7 --noise pilatus.toml
      tiledsim noise image.zarr -o counts.zarr --mode c-parity --seed 7
    """

    from tiledsim.experiment.noise_file import load_noise
    from tiledsim.scheduler import add_noise
    from tiledsim.scheduler.presets import resolve

    taken = None if mode is None else read_mode(mode, "spec")
    chosen = None if noise_file is None else load_noise(noise_file)

    def work(options: Any, callbacks: Any) -> Any:
        return add_noise(
            source, output, chosen, seed=seed, mode=taken, options=options, partial=partial,
            callbacks=callbacks, command=command_line(),
        )  # fmt: skip

    print(with_progress(work, resolve(options, {}), quiet=quiet).text())

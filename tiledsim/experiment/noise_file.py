"""The noise section of a file that need not describe a whole experiment."""

from pathlib import Path

from pydantic import ValidationError

from tiledsim.errors import ExperimentError
from tiledsim.experiment.sections.noise import Noise
from tiledsim.experiment.sections.part import Part
from tiledsim.experiment.toml import experiment_error, parse_experiment


class _NoiseFile(Part):
    """What is read of the file."""

    noise: Noise


def load_noise(path: str | Path) -> Noise:
    """Read the ``[noise]`` table of a TOML file; other tables are left alone.

    Raises InputFileError if it cannot be read and ExperimentError if it cannot be understood.
    """
    from tiledsim.io.text import read_text

    path = Path(path)
    text = read_text(path, "noise")
    try:
        fields = parse_experiment(text, path.parent)
        if "noise" not in fields:
            raise ExperimentError("has no [noise] table; an empty one counts photons, and no more")
        return _NoiseFile(noise=fields["noise"]).noise
    except ValidationError as error:
        raise ExperimentError(f"{path}: {experiment_error(_NoiseFile, error)}") from None
    except ExperimentError as error:
        raise ExperimentError(f"{path}: {error}") from None

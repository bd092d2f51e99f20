"""From an experiment to its scene."""

from tiledsim.campaign.build import build_campaign
from tiledsim.experiment import Experiment
from tiledsim.scene import Scene
from tiledsim.scene.single import build_single, with_cell


def build_scene(experiment: Experiment) -> Scene:
    """Make the scene: read the files, place the detector, turn the crystal, settle the quirks.

    Parameters
    ----------
    experiment
        What a person described.

    Returns
    -------
    Scene
        All that a kernel needs, in SI units; equal experiments and files give equal scenes.

    Raises
    ------
    ExperimentError
        For what cannot be simulated.
    InputFileError
        For a file that the experiment names and that cannot be used.
    """
    experiment = with_cell(experiment)
    if experiment.shots.is_campaign:
        return build_campaign(experiment)
    return build_single(experiment)

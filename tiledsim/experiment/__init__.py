"""What a person describes: beam, crystal, rotation, detector, sampling and shots.

Every field carries its unit in its name.  Values are checked when they are set; what depends on
several of them (a geometry, a cell, the sources) is checked where it is computed, by
:func:`tiledsim.scene.build.build_scene`.  Fields left out have the defaults of nanoBragg.
"""

from tiledsim.experiment.experiment import Experiment as Experiment
from tiledsim.experiment.experiment import load as load
from tiledsim.experiment.sections.background import Background as Background
from tiledsim.experiment.sections.beam import Beam as Beam
from tiledsim.experiment.sections.beam import Spectrum as Spectrum
from tiledsim.experiment.sections.crystal import Crystal as Crystal
from tiledsim.experiment.sections.crystal import Mosaic as Mosaic
from tiledsim.experiment.sections.detector import Detector as Detector
from tiledsim.experiment.sections.detector import Panel as Panel
from tiledsim.experiment.sections.detector import Sensor as Sensor
from tiledsim.experiment.sections.noise import Noise as Noise
from tiledsim.experiment.sections.noise import PointSpread as PointSpread
from tiledsim.experiment.sections.part import Part as Part
from tiledsim.experiment.sections.rotation import Rotation as Rotation
from tiledsim.experiment.sections.sampling import Sampling as Sampling
from tiledsim.experiment.sections.shots import Column as Column
from tiledsim.experiment.sections.shots import Sase as Sase
from tiledsim.experiment.sections.shots import Shots as Shots
from tiledsim.experiment.sections.structure_factors import StructureFactors as StructureFactors

__all__ = [
    "Background",
    "Beam",
    "Column",
    "Crystal",
    "Detector",
    "Experiment",
    "Mosaic",
    "Noise",
    "Panel",
    "Part",
    "PointSpread",
    "Rotation",
    "Sampling",
    "Sase",
    "Sensor",
    "Shots",
    "Spectrum",
    "StructureFactors",
    "load",
]

"""What a person describes: beam, crystal, rotation, detector, sampling and shots.

Every field carries its unit in its name.  Values are checked when they are set; what depends on
several of them (a geometry, a cell, the sources) is checked where it is computed, by
:func:`tiledsim.scene.build.build_scene`.  Fields left out have the defaults of nanoBragg.
"""

from tiledsim.experiment.background import Background as Background
from tiledsim.experiment.beam import Beam as Beam
from tiledsim.experiment.beam import Spectrum as Spectrum
from tiledsim.experiment.crystal import Crystal as Crystal
from tiledsim.experiment.crystal import Mosaic as Mosaic
from tiledsim.experiment.detector import Detector as Detector
from tiledsim.experiment.detector import Panel as Panel
from tiledsim.experiment.detector import Sensor as Sensor
from tiledsim.experiment.experiment import Experiment as Experiment
from tiledsim.experiment.experiment import load as load
from tiledsim.experiment.noise import Noise as Noise
from tiledsim.experiment.noise import PointSpread as PointSpread
from tiledsim.experiment.part import Part as Part
from tiledsim.experiment.rotation import Rotation as Rotation
from tiledsim.experiment.sampling import Sampling as Sampling
from tiledsim.experiment.shots import Column as Column
from tiledsim.experiment.shots import Sase as Sase
from tiledsim.experiment.shots import Shots as Shots
from tiledsim.experiment.structure_factors import StructureFactors as StructureFactors

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

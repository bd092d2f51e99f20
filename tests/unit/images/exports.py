"""Runs to be exported, and what they hold."""

from pathlib import Path
from typing import Any

import hdf5plugin  # noqa: F401 - registers the filters with which h5py reads what is exported
import numpy as np

from tiledsim import scheduler
from tiledsim.experiment import Experiment

MODULES = [
    {"origin_mm": (-20.0 + 0.3 * i, 18.0 - 16 * i, -100.0), "fast_axis": (1, 0, 0.01 * i),
     "slow_axis": (0, -1, 0)}
    for i in range(2)
]  # fmt: skip


def make(**parts: Any) -> Experiment:
    values = {
        "title": "a test",
        "beam": {"wavelength_A": 1.1, "polarization": 0.9, "exposure_s": 0.2},
        "crystal": {"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (4, 4, 4)},
        "structure_factors": {"default_F": 30.0},
        "detector": {"size_px": (300, 170), "pixel_mm": 0.15},
        "sampling": {"oversample": 1},
        "rotation": {"start_deg": 5.0, "range_deg": 0.5, "steps": 1},
        "shots": {"count": 3, "misset_deg": ((0, 0, 0), (0, 0, 0.5), (0, 0, 1.0))},
    }
    return Experiment(**values | parts)


def tiledsim_run(experiment: Experiment, path: Path) -> None:
    scheduler.run(experiment, path, fsync=False, threads=1)


def pixels_of(store: Path) -> np.ndarray:
    return np.asarray(scheduler.open(store).image.values)

"""Sizes that are a whole number of cells: spec rounds them, c-parity counts as nanoBragg counts."""

import shlex

import pytest

from tiledsim import build_scene, experiment_from_nanobragg
from tiledsim.errors import ExperimentError


@pytest.mark.parametrize(
    ("flags", "nanobragg", "exact"),
    [
        ("-cell 60 50 40 -xtalsize 0.00003", (6, 7, 8), (5, 6, 8)),
        ("-cell 50 -sample_y 0.00004", (1, 8, 1), (1, 8, 1)),
        ("-cell 62.5 -xtalsize 0.000025", (4, 4, 4), (4, 4, 4)),
        ("-cell 70 80 90 -xtalsize 0.00063", (90, 79, 70), (90, 79, 70)),
        ("-cell 100 -xtalsize 0.0001", (10, 10, 10), (10, 10, 10)),
    ],
)
def test_whole_cells(
    flags: str, nanobragg: tuple[int, int, int], exact: tuple[int, int, int]
) -> None:
    argv = shlex.split(f"{flags} -default_F 1 -detpixels 4 -oversample 1")
    experiment = experiment_from_nanobragg(argv)
    assert build_scene(experiment).cell_counts == nanobragg  # what nanoBragg prints
    assert build_scene(experiment.replace(mode="spec")).cell_counts == exact


def test_an_exposure_of_no_steps_is_refused() -> None:
    argv = shlex.split("-cell 60 -default_F 1 -detpixels 4 -osc 0 -phistep 0.5")
    with pytest.raises(ExperimentError, match=r"-osc.* leaves no exposure"):
        build_scene(experiment_from_nanobragg(argv))

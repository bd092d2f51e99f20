"""What nanoBragg computes of input that makes little sense; the figures are those that it prints.

Compared: maximum and mean of the image, as printed, and that a sign that it drops changes no byte.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.command import tiledsim

FLAGS = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -detpixels 20 -pixel 1 -oversample 1 -seed 1"
NOTHING = ("max_I = 0  at 0 0", "mean= 0 rms= 0 rmsd= 0")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("-roi 5 3 2 4", NOTHING),
        ("-roi 30 40 2 4", NOTHING),
        ("-distance 0", NOTHING),
        (
            "-distance -100",
            ("max_I = 14307.2  at 0.0155 0.0005", "mean= 172.07 rms= 1101.17 rmsd= 1087.61"),
        ),
        (
            "-close_distance -100",
            ("max_I = 0  at 0 0", "mean= -168.01 rms= 1089.31 rmsd= 1076.24"),
        ),
    ],
)
def test_what_nanobragg_prints(flags: str, said: tuple[str, ...], tmp_path: Path) -> None:
    done = tiledsim("nanobragg", *FLAGS.split(), *flags.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for line in said:
        assert line in done.stdout.splitlines()
    if said is NOTHING:
        assert not np.fromfile(tmp_path / "floatimage.bin", "<f4").any()

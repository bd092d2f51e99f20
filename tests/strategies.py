"""Randomly drawn experiments, small enough to render in milliseconds."""

from typing import Any

from hypothesis import strategies as st

from tiledsim.experiment import Experiment


def _real(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False).map(lambda x: round(x, 6))


angles = st.tuples(_real(75, 105), _real(75, 105), _real(75, 105))
cells = st.tuples(_real(20, 120), _real(20, 120), _real(20, 120))


@st.composite
def experiments(draw: st.DrawFn, **fixed: Any) -> Experiment:
    """Draw an experiment in spec mode that exercises every part of the model."""
    convention = draw(st.sampled_from(["mosflm", "denzo", "adxv", "xds", "dials"]))
    divergent = draw(st.booleans())
    layers = draw(st.integers(0, 3))
    wavelength = draw(_real(0.7, 6))
    parts: dict[str, Any] = {
        "beam": {
            "wavelength_A": wavelength,
            "polarization": draw(_real(-1, 1)),
            "polarization_correction": draw(st.booleans()),
            "dispersion_percent": draw(_real(0.001, 3)),
            "dispersion_steps": draw(st.integers(2, 3)),
            **(
                {"hdiv_range_mrad": 3.0, "hdiv_steps": draw(st.integers(2, 3)),
                 "vdiv_range_mrad": 2.0, "vdiv_steps": draw(st.integers(2, 3))}
                if divergent
                else {}
            ),
        },
        "crystal": {
            "cell_A_deg": (*draw(cells), *draw(angles)),
            "misset_deg": draw(st.tuples(_real(-180, 180), _real(-180, 180), _real(-180, 180))),
            "cells": draw(st.tuples(*[st.integers(1, 40)] * 3)),
            "shape": draw(st.sampled_from(["square", "round", "gauss", "tophat"])),
            "fudge": draw(_real(0.5, 2)),
            "mosaic": {"spread_deg": draw(_real(0, 2)), "domains": draw(st.integers(1, 3))},
        },
        "structure_factors": {"default_F": draw(_real(1, 200))},
        "rotation": {"start_deg": draw(_real(-90, 90)), "range_deg": draw(_real(0, 2)),
                     "steps": draw(st.integers(1, 3))},
        "detector": {
            "convention": convention,
            "pixel_mm": draw(_real(0.05, 0.5)),
            "size_px": draw(st.tuples(st.integers(1, 70), st.integers(1, 9))),
            "distance_mm": draw(_real(40, 300)),
            "rotation_deg": draw(st.tuples(_real(-20, 20), _real(-20, 20), _real(-20, 20))),
            "two_theta_deg": draw(_real(-20, 20)),
            "curved": draw(st.booleans()),
            "point_pixel": draw(st.booleans()),
            "sensor": {"depth_um": 200.0, "thickness_um": 100.0 * layers, "layers": layers or None},
        },
        "sampling": {
            "oversample": draw(st.integers(1, 2)),
            "dmin_A": draw(st.sampled_from([0, 3.0])),
            "tolerance": 0.0,
        },
        "background": {"water_um": draw(st.sampled_from([0.0, 20.0]))},
    }  # fmt: skip
    return Experiment(**(parts | fixed))


def with_quirks(
    experiment: Experiment, quirks: set[str], oversampled: tuple[bool, bool, bool]
) -> Experiment:
    """Give an experiment quirks, and corrections (thick, polar, omega) of their own or not."""
    thick, polar, omega = oversampled
    sampling = experiment.sampling.model_copy(
        update={"oversample_thick": thick, "oversample_polar": polar, "oversample_omega": omega}
    )
    # A point pixel's 1/R² is above 1: a running product of it overflows, in nanoBragg as here.
    detector = experiment.detector.model_copy(update={"point_pixel": False})
    return experiment.replace(quirks=tuple(quirks), sampling=sampling, detector=detector)

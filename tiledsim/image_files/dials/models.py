"""DIALS' experiment list (.expt): panels, beam, goniometer, scan and the true crystals.

The form is that of dxtbx 3.12, which later ones read too.  A rotation series is one experiment; of
stills each shot is one.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim.image_files.instrument import FlatPanel, Instrument

UNKNOWN_SPACE_GROUP = " P 1"
_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def write_expt(
    path: Path, instrument: Instrument, images: Sequence[Path], saturation: float,
    attenuation_per_mm: float, hall_symbol: str = UNKNOWN_SPACE_GROUP,
) -> list[str]:  # fmt: skip
    """Write an experiment list and return the identifiers of its experiments, in order.

    The parameters are ``path``, the file, and those of :func:`expt_document`.
    """
    document = expt_document(instrument, images, saturation, attenuation_per_mm, hall_symbol)
    path.write_text(json.dumps(document, indent=2), encoding="ascii")
    return [experiment["identifier"] for experiment in document["experiment"]]


def expt_document(
    instrument: Instrument, images: Sequence[Path], saturation: float, attenuation_per_mm: float,
    hall_symbol: str = UNKNOWN_SPACE_GROUP, *, crystals: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Return an experiment list, to be written as JSON.

    Parameters
    ----------
    instrument : Instrument
        Of all shots.
    images : sequence of Path
        One master file of all shots, or one image a shot; none leaves the images out.
    saturation : float
        The largest value that is a measurement.
    attenuation_per_mm : float
        Of the sensor.
    hall_symbol : str
        Space group of the crystal.
    crystals : bool
        Whether the crystals are known and belong into it.
    """
    scan = instrument.is_scan
    count = 1 if scan else instrument.shots
    names = [f"tiledsim-{number:06d}" for number in range(count)]
    own = [instrument.alone(shot) for shot in range(count)] if instrument.each else []
    experiments = []
    for number, name in enumerate(names):
        models: dict[str, Any] = {
            "__id__": "Experiment", "identifier": name, "beam": number if own else 0,
            "detector": number if instrument.detector_moves else 0,
        }  # fmt: skip
        if crystals:
            models["crystal"] = number
        if scan:
            models |= {"goniometer": 0, "scan": 0}
        if images:
            models["imageset"] = number if not scan else 0
        experiments.append(models)
    return {
        "__id__": "ExperimentList",
        "experiment": experiments,
        "imageset": _imagesets(instrument, images) if images else [],
        "beam": [_beam(one) for one in own or [instrument]],
        "detector": [
            _detector(one, saturation, attenuation_per_mm)
            for one in (own if instrument.detector_moves else [instrument])
        ],
        "goniometer": [_goniometer(instrument)] if scan else [],
        "scan": [_scan(instrument, images)] if scan else [],
        "crystal": [
            _crystal(cell, hall_symbol) for cell in instrument.crystals_A[: count * crystals]
        ],
        "profile": [],
        "scaling_model": [],
    }


def _imagesets(instrument: Instrument, images: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the images: a template of a series, else each alone."""
    empty: dict[str, Any] = {
        "mask": None,
        "gain": None,
        "pedestal": None,
        "dx": None,
        "dy": None,
        "params": {},
    }
    master = len(images) == 1
    where = [str(path.absolute()) for path in images]
    if instrument.is_scan:
        kept: dict[str, Any] = {"__id__": "ImageSequence", "template": where[0]}
        if master:
            kept["single_file_indices"] = list(range(instrument.shots))
        else:
            kept["template"] = _template(images)
        return [kept | empty]
    return [
        {"__id__": "ImageSet", "images": [where[0] if master else where[shot]],
         "single_file_indices": [shot] if master else []} | empty
        for shot in range(instrument.shots)
    ]  # fmt: skip


def _template(images: Sequence[Path]) -> str:
    """Return the names of numbered files with # for the digits."""
    first = images[0].absolute()
    digits = len(first.stem) - len(first.stem.rstrip("0123456789"))
    return str(
        first.with_name(first.stem[: len(first.stem) - digits] + "#" * digits + first.suffix)
    )


def first_image(images: Sequence[Path]) -> int:
    """Return the number of the first image of a scan, which numbered files have in their names."""
    stem = images[0].stem if len(images) > 1 else ""
    digits = stem[len(stem.rstrip("0123456789")) :]
    return int(digits) if digits else 1


def _beam(instrument: Instrument) -> dict[str, Any]:
    normal = np.cross(-instrument.beam, instrument.polarization_axis)
    return {
        "direction": [float(-v) + 0.0 for v in instrument.beam],
        "wavelength": instrument.wavelength_A,
        "divergence": 0.0,
        "sigma_divergence": 0.0,
        "polarization_normal": normal.tolist(),
        "polarization_fraction": (1.0 + instrument.polarization) / 2.0,
        "flux": 0.0,
        "transmission": 1.0,
    }


def _detector(instrument: Instrument, saturation: float, mu: float) -> dict[str, Any]:
    panels = [
        _panel(panel, number, instrument, saturation, mu)
        for number, panel in enumerate(instrument.panels)
    ]
    root = {
        "name": "", "type": "", "fast_axis": [1.0, 0.0, 0.0], "slow_axis": [0.0, 1.0, 0.0],
        "origin": [0.0, 0.0, 0.0], "raw_image_offset": [0, 0], "image_size": [0, 0],
        "pixel_size": [0.0, 0.0], "trusted_range": [0.0, 0.0], "thickness": 0.0, "material": "",
        "mu": 0.0, "identifier": "", "mask": [], "gain": 1.0, "pedestal": 0.0,
        "px_mm_strategy": {"type": "SimplePxMmStrategy"},
        "children": [{"panel": number} for number in range(len(panels))],
    }  # fmt: skip
    return {"panels": panels, "hierarchy": root}


def _panel(
    panel: FlatPanel, number: int, instrument: Instrument, saturation: float, mu: float
) -> dict[str, Any]:
    sensor = instrument.sensor
    strategy = "ParallaxCorrectedPxMmStrategy" if sensor else "SimplePxMmStrategy"
    return {
        "name": f"panel{number}", "type": "SENSOR_PAD", "fast_axis": panel.fast.tolist(),
        "slow_axis": panel.slow.tolist(), "origin": panel.origin_mm.tolist(),
        "raw_image_offset": [0, 0], "image_size": list(panel.size_px),
        "pixel_size": list(panel.pixel_mm), "trusted_range": [-1.0, saturation],
        "thickness": sensor.thickness_mm if sensor else 0.0,
        "material": sensor.material if sensor else "", "mu": mu if sensor else 0.0,
        "identifier": "", "gain": 1.0, "pedestal": 0.0,
        "mask": [[f0, s0, f1 + 1, s1 + 1] for f0, f1, s0, s1 in panel.masked_px],
        "px_mm_strategy": {"type": strategy},
    }  # fmt: skip


def _goniometer(instrument: Instrument) -> dict[str, Any]:
    return {
        "rotation_axis": instrument.spindle.tolist(),
        "fixed_rotation": _IDENTITY,
        "setting_rotation": _IDENTITY,
    }


def _scan(instrument: Instrument, images: Sequence[Path]) -> dict[str, Any]:
    shots = instrument.shots
    first = first_image(images) if images else 1
    return {
        "image_range": [first, first + shots - 1],
        "batch_offset": 0,
        "oscillation": [float(instrument.start_deg[0]), instrument.width_deg],
        "exposure_time": [instrument.exposure_s] * shots,
        "epochs": [instrument.exposure_s * shot for shot in range(shots)],
        "valid_image_ranges": {},
    }


def _crystal(cell: Any, hall_symbol: str) -> dict[str, Any]:
    a, b, c = cell.tolist()
    return {
        "__id__": "crystal", "real_space_a": a, "real_space_b": b, "real_space_c": c,
        "space_group_hall_symbol": hall_symbol,
    }  # fmt: skip

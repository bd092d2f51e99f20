"""The instrument of an export: from the geometry in a store to the imgCIF frame."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.columns import MOVES
from tiledsim.campaign.one_shot import scene_of_shot
from tiledsim.errors import StoreError
from tiledsim.experiment import Experiment
from tiledsim.image_files.instrument import (
    FlatPanel,
    Instrument,
    SensorLayer,
    as_series,
    imgcif_rotation,
)
from tiledsim.scene import Scene
from tiledsim.scene.resolved import crystals, resolved_arrays, resolved_numbers
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.geometry import read_geometry
from tiledsim.units import ANGSTROM, MM

OWN: Final = MOVES | {"wavelength_A", "polarization", "fluence_photons_per_m2"}
"""Columns of a campaign that headers tell of."""


def read_instrument(
    files: Files, title: str = "", scene: Scene | None = None, shots: Iterable[int] = ()
) -> Instrument:
    """Return the instrument of a run, all shots and panels; of ``shots`` what is their own.

    Raises StoreError for a store without geometry, or a damaged one.
    """
    arrays, about = read_geometry(files)
    try:
        whole = _instrument(arrays, about, title)
        return whole if scene is None else _with_each(whole, arrays, about, scene, shots)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError(f"{files.url}: its geometry is damaged: {error!r}") from None


def instrument_of(experiment: Experiment, scene: Scene) -> Instrument:
    """Return the instrument of a run that is still to be made, all shots and panels; of the first
    two shots what is their own.
    """
    arrays = {name: named.values for name, named in resolved_arrays(experiment, scene).items()}
    arrays["crystal_A"] = crystals(scene).values
    about = resolved_numbers(experiment, scene)
    whole = _instrument(arrays, about, experiment.title)
    return _with_each(whole, arrays, about, scene, range(min(2, scene.shape[0])))


def _with_each(
    whole: Instrument, arrays: dict[str, NDArray[np.float64]], about: dict[str, Any],
    scene: Scene, shots: Iterable[int],
) -> Instrument:  # fmt: skip
    """Add what some shots of a campaign do not share with the others."""
    spectra = scene.sase is not None or scene.spectra is not None
    if scene.shot_values is None or not (spectra or OWN & set(scene.shot_names)):
        return whole
    each: dict[int, Instrument] = {}
    for shot in shots:
        one = scene_of_shot(scene, shot)
        vectors = {
            "panel_origin_mm": one.origin * MM, "source_wavelength_A": one.wavelength * ANGSTROM,
            "source_weight": one.weight / one.weight.sum(),
            "crystal_A": arrays["crystal_A"][[shot]],
        }  # fmt: skip
        numbers = {"polarization": one.polarization, "fluence_photons_per_m2": one.fluence}
        own = _instrument(arrays | vectors, about | numbers, whole.title)
        each[shot] = replace(
            own, start_deg=whole.start_deg[[shot]], crystals_A=whole.crystals_A[[shot]]
        )
    return replace(whole, each=each)


def _instrument(
    arrays: dict[str, NDArray[np.float64]], about: dict[str, Any], title: str
) -> Instrument:
    turn = imgcif_rotation(arrays["beam_direction"], arrays["spindle"], arrays["panel_fast"][0])
    spindle = turn @ arrays["spindle"]
    width = float(about["rotation_range_deg"])
    starts, crystals_A = as_series(
        spindle, arrays["crystal_A"] @ turn.T, float(about["rotation_start_deg"]), width
    )
    fast, slow = about["size_px"]
    square = np.full((len(arrays["panel_fast"]), 2), float(about["pixel_mm"]))
    sides = arrays.get("panel_pixel_mm", square)  # which earlier stores lack
    frames = zip(
        arrays["panel_origin_mm"], arrays["panel_fast"], arrays["panel_slow"], sides, strict=True
    )
    panels = tuple(
        FlatPanel(
            turn @ o, turn @ f, turn @ s, (float(across), float(down)), (int(fast), int(slow))
        )
        for o, f, s, (across, down) in frames
    )
    thickness = float(about["sensor_thickness_um"])
    material = str(about.get("sensor_material") or "Si")
    return Instrument(
        panels=panels,
        wavelength_A=float(arrays["source_wavelength_A"] @ arrays["source_weight"]),
        polarization=float(about["polarization"]),
        polarization_axis=turn @ arrays["polarization_axis"],
        fluence_photons_per_m2=float(about["fluence_photons_per_m2"]),
        exposure_s=float(about["exposure_s"]),
        spindle=spindle,
        start_deg=starts,
        width_deg=width,
        crystals_A=crystals_A,
        sensor=SensorLayer(material, thickness / 1000) if thickness > 0 else None,
        curved=bool(about["curved"]),
        title=title,
    )

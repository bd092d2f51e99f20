"""What a person writes is used, refused, or said to have no effect: every field, in many settings.

The fields are taken from the models, so a new one is tried here without being named.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from tiledsim.errors import ExperimentError, TiledsimError
from tiledsim.experiment import Experiment
from tiledsim.experiment.consistency import given_values
from tiledsim.experiment.validation import keys
from tiledsim.scene.build import build_scene

LABELS: Final = {"title", "version", "run"}
"""They name things; no image depends on them."""

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "flux": {"beam": {"wavelength_A": 1.0, "flux_photons_per_s": 1e12}},
    "spectrum": {"beam": {"spectrum": {"wavelengths_A": [1.0, 1.1]}}},
    "sources": {"beam": {"wavelength_A": 1.0, "source_file": "sources.txt"}},
    "divergent": {"beam": {"wavelength_A": 1.0, "hdiv_range_mrad": 1.0, "hdiv_steps": 3,
                           "vdiv_range_mrad": 1.0, "vdiv_steps": 3, "polarization": 0.9}},
    "mosaic": {"crystal": {"mosaic": {"spread_deg": 1.0, "domains": 3}, "misset_deg": "random",
                           "size_mm": [0.01, 0.01, 0.01], "shape": "gauss"}},
    "absorbing": {"crystal": {"absorption": {"shape": "slab", "length_mm": 1.0, "size_um": 50.0}}},
    "table": {"structure_factors": {"hkl_file": "a.hkl"}},
    "rotated": {"rotation": {"range_deg": 1.0, "steps": 2}},
    "near": {"detector": {"convention": "xds", "org_x_px": 3.0, "org_y_px": 3.0}},
    "turned": {"detector": {"two_theta_deg": 10.0, "convention": "custom",
                            "sensor": {"thickness_um": 100.0, "depth_um": 200.0, "layers": 3}}},
    "sensor": {"detector": {"sensor": {"thickness_um": 100.0, "layers": 3}}},
    "panels": {"detector": {"panels": [{"origin_mm": [100, 0.3, 0.3], "fast_axis": [0, 0, 1],
                                        "slow_axis": [0, -1, 0]}]}},
    "pix0": {"detector": {"convention": "custom", "pix0_mm": [100, 0.3, 0.3]}},
    "shots": {"shots": {"count": 2, "orientation": "random"}},
    "series": {"rotation": {"step_deg": 1.0, "frames": 3}},
}  # fmt: skip


def base() -> dict[str, Any]:
    return {
        "beam": {"wavelength_A": 1.0},
        "crystal": {"cell_A_deg": [70, 80, 90, 75, 85, 95]},
        "structure_factors": {"default_F": 100.0},
        "detector": {"size_px": [6, 5]},
        "sampling": {"oversample": 2},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("files")
    (made / "sources.txt").write_text("-10 0 0 1 1e-10\n-10 0.1 0 1 1.1e-10\n")
    (made / "a.hkl").write_text("0 0 1 10\n1 0 0 20\n")
    (made / "A.mat").write_text("0.01 0 0 0 0.012 0 0 0 0.013\n")
    mask = np.ones((5, 6), np.uint8)
    mask[1, 1] = 0
    np.save(made / "mask.npy", mask)
    np.save(made / "rotations.npy", np.stack([np.eye(3), np.diag([1.0, -1.0, -1.0])]))
    return made


FILES: Final = {
    "source_file": "sources.txt", "hkl_file": "a.hkl", "mosflm_matrix_file": "A.mat",
    "mask_file": "mask.npy", "matrices_file": "rotations.npy",
}  # fmt: skip


def values(annotation: Any, name: str) -> Iterator[Any]:
    """Yield a few values that an annotation may hold."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        yield from values(arguments[0], name)
    elif origin is Literal:
        yield from arguments
    elif origin is Union or type(annotation).__name__ == "UnionType":
        for argument in arguments:
            yield from values(argument, name)
    elif origin is tuple:
        if name == "roi":
            yield [1, 3, 1, 3]
        elif name in ("fast_axis", "slow_axis", "normal", "direction", "axis", "two_theta_axis",
                      "polarization_axis"):  # fmt: skip
            yield from ([0.0, 0.6, 0.8], [0.8, 0.0, 0.6])
        elif Ellipsis not in arguments:
            element = next(values(arguments[0], name), None)
            if isinstance(element, int | float):
                yield [element + i for i in range(len(arguments))]
        elif get_origin(arguments[0]) is Literal:
            yield [get_args(arguments[0])[0]]
    elif annotation is bool:
        yield from (True, False)
    elif annotation is int:
        yield from (2, 5)
    elif annotation is float:
        yield from (0.75, 150.0)
    elif annotation is Path:
        yield FILES.get(name, "none.txt")
    elif annotation is str:
        yield "a word"


def annotation_of(key: str) -> Any:
    model: Any = Experiment
    *sections, name = key.split(".")
    for section in sections:
        field = model.model_fields[section].annotation
        model = next(
            a for a in (field, *get_args(field))
             if isinstance(a, type) and issubclass(a, BaseModel)
        )  # fmt: skip
    field = model.model_fields[name]
    return field.annotation


def changed(setting: str, key: str, value: Any) -> dict[str, Any]:
    """Return a setting's experiment with one more value; ``value`` None leaves it as it is."""
    tables = base()
    for section, fields in SETTINGS[setting].items():
        tables[section] = (tables[section] if section not in ("beam",) else {}) | fields \
            if section in tables else dict(fields)  # fmt: skip
    if value is not None:
        table = tables
        *sections, name = key.split(".")
        for section in sections:
            table[section] = dict(table.get(section, {}))
            table = table[section]
        table[name] = value
    return tables


def build(tables: dict[str, Any], folder: Path) -> tuple[Experiment, str]:
    for fields in (tables, *tables.values(), tables["crystal"].get("mosaic", {})):
        for name in set(FILES) & set(fields):
            fields[name] = folder / fields[name]
    experiment = Experiment(**tables)
    return experiment, build_scene(experiment).hash


@pytest.fixture(scope="module")
def settled(folder: Path) -> dict[str, tuple[Experiment, str]]:
    return {name: build(changed(name, "", None), folder) for name in SETTINGS}


TRIED: Final = [key for key in keys(Experiment) if key not in LABELS]


@pytest.mark.parametrize("key", TRIED)
def test_a_value_is_used_or_refused_or_told_of(
    key: str, folder: Path, settled: dict[str, tuple[Experiment, str]]
) -> None:
    name = key.rpartition(".")[2]
    tried = list(values(annotation_of(key), name))
    if key == "detector.panels":
        tried = [SETTINGS["panels"]["detector"]["panels"]]
    if key == "background.layers":
        tried = [[{"material": "water", "thickness_mm": 1.0}]]
    if key == "detector.masked_px":
        tried = [[[0, 2, 0, 2]]]
    if "panels." in key or "layers." in key:
        pytest.skip("a panel, or a layer, is tried as a whole")
    silent = []
    used = 0
    for setting, (experiment, scene_hash) in settled.items():
        before = given_values(experiment).get(key)
        default = _default(key)
        for value in tried:
            same = (before, default, *RESOLVED.get(key, ()))
            if value in same or (isinstance(value, list) and tuple(value) in same):
                continue
            if isinstance(before, Path) and before.name == value:
                continue
            try:
                made, other = build(changed(setting, key, value), folder)
            except (TiledsimError, ValidationError):
                continue
            if other != scene_hash:
                used += 1
            elif not any(key in note for note in made.notes):
                silent.append((setting, value))
    assert not silent
    elsewhere = key in NEEDS_MORE or key.startswith(ABOUT_FILES)
    assert used or elsewhere, "no setting here uses it"


def _default(key: str) -> Any:
    value: Any = Experiment(**base())
    for part in key.split("."):
        value = getattr(value, part, None)
    return value


RESOLVED: Final = {
    "structure_factors.interpolate": (True, "auto"),
    "detector.pivot": ("beam", "sample"),
}
"""What a setting comes to where nothing is given: to write it down changes nothing."""

ABOUT_FILES: Final = (
    "structure_factors.", "crystal.space_group", "noise.", "detector.geometry", "detector.model",
    "shots.columns.", "shots.table", "shots.labels", "shots.sase.", "shots.spectra_file",
    "shots.rows_sha256",
)  # fmt: skip
"""They are about files of reflections, of atoms and of detectors, and about tables of shots, which
other tests read."""

NEEDS_MORE: Final = {
    "beam.profile", "crystal.size_um", "crystal.volume_um3",
    "rotation.axis", "beam.dispersion_steps", "detector.pivot", "structure_factors.interpolate",
    "beam.energy_eV", "beam.spectrum.wavelengths_A", "beam.spectrum.weights",
    "crystal.mosflm_matrix_file", "structure_factors.fdump_file", "shots.misset_deg",
    "crystal.mosaic.matrices_file", "detector.normal", "detector.fast_axis", "detector.slow_axis",
    "beam.direction", "sampling.oversample_thick", "sampling.oversample_polar",
    "sampling.oversample_omega", "crystal.vectors_A", "shots.vectors_A", "shots.axis",
    "shots.range_deg", "shots.spread_deg",
}  # fmt: skip
"""Fields that exclude others of every setting, or need a second one: refused or told of there."""


@pytest.mark.parametrize(
    "wrong", [True, "1.0", "x", [1, 2], {"a": 1}, 10**400, float("nan"), -1e300]
)
@pytest.mark.parametrize("key", TRIED)
def test_a_value_of_another_kind_is_refused(key: str, wrong: Any) -> None:
    taken = (list(values(annotation_of(key), key.rpartition(".")[2])) or [None])[0]
    if isinstance(wrong, str) and isinstance(taken, str):
        pytest.skip("a text is what it takes")
    if wrong is True and any(v is True for v in values(annotation_of(key), "")):
        pytest.skip("a switch is what it is")
    if isinstance(wrong, list) and key in ("beam.spectrum.wavelengths_A", "detector.size_px"):
        pytest.skip("two numbers are what it takes")
    if key == "structure_factors.f_prime" and isinstance(wrong, dict):
        pytest.skip("a table is what it takes")
    with pytest.raises(ValidationError):
        Experiment(**changed("plain", key, wrong))


@pytest.mark.parametrize(
    ("section", "text", "said"),
    [
        ("crystal", "cells = [5, 5, 5]\nsize_mm = [0.1, 0.1, 0.1]", "crystal.size_mm are both"),
        ("detector", "distance_mm = 90\nclose_distance_mm = 90", "are both given"),
        ("detector", "org_x_px = 4\nbeam_x_mm = 0.4", "are both given"),
        ("rotation", "range_deg = 1\nstep_deg = 0.1\nsteps = 7", "7 x 0.1 = 0.7"),
        ("rotation", "steps = -3", "must be a whole number of at least 1"),
        ("rotation", "range_deg = true", "must be a number"),
        ("beam", "hdiv_range_mrad = 1\nhdiv_steps = 1", "do not agree"),
        ("beam", "energy_eV = 12.4", "for keV write 12400"),
        ("beam", "source_file = 'a'\ndispersion_percent = 1", "lists the sources"),
        ("beam", "fluence_photons_per_m2 = 1e20\nflux_photons_per_s = 1e9", "are both given"),
    ],
)
def test_what_contradicts_itself_is_refused(section: str, text: str, said: str) -> None:
    whole = {
        "beam": "" if "energy" in text else "wavelength_A = 1",
        "crystal": "cell_A_deg = [70, 80, 90, 75, 85, 95]",
        "structure_factors": "default_F = 100",
    }
    whole[section] = whole.get(section, "") + "\n" + text
    lines = "\n".join(f"[{name}]\n{body}" for name, body in whole.items())
    with pytest.raises(ExperimentError, match=said):
        Experiment.from_toml(lines, Path("/"))

"""Geometry in the files of other programs.

Corners are those of dxtbx 3.12 for the same files (``panel.get_lab_coord``), but for XDS.INP, whose
are worked out by hand: a flat panel square to the beam, and the two of :data:`TURNED_BY_HAND`.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import gemmi
import numpy as np
import pytest

from tests.unit.command import refusal, tiledsim
from tests.unit.formats import FORMATS, needs_formats
from tiledsim import in_memory
from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Experiment, Sensor
from tiledsim.geometry_files.described import FileGeometry, FilePanel
from tiledsim.geometry_files.read import read_geometry_file
from tiledsim.geometry_files.sensor import FileSensor
from tiledsim.geometry_files.write import Target, geometry_text, turned
from tiledsim.image_files.cbf.imgcif_header import imgcif_header
from tiledsim.image_files.instrument import FlatPanel, Instrument, imgcif_rotation
from tiledsim.reach.panels import meet_panels
from tiledsim.scene.build import build_scene
from tiledsim.vectors import axis_rotation

FILES = FORMATS / "files"
CORNERS = {
    "experiments_thaum_0500.expt": [
        (-213.75741612409414, 207.64362751743823, -340.5570970816145),
        (209.8776542910816, 207.99607743549376, -339.74260989055983),
        (210.2404435327842, -226.6473372744034, -340.35675098715683),
        (-213.39462688239152, -226.99978719245894, -341.17123817821147),
    ],
    "split_00.expt": [
        (-170.1070553941832, 170.1923289145582, -198.4110369068717),
        (169.8929446058168, 170.1923289145582, -198.4110369068717),
        (169.8929446058168, -169.8076710854418, -198.4110369068717),
        (-170.1070553941832, -169.8076710854418, -198.4110369068717),
    ],
    "XPARM.XDS": [
        (-211.6973219063325, 219.46178761847855, -192.99033698323944),
        (211.92346105513627, 220.30769758326278, -189.50075599928076),
        (212.79709556496033, -214.33487058860263, -190.19460879965214),
        (-210.82368739650843, -215.18078055338682, -193.68418978361083),
    ],
    "NEW_XPARM.XDS": [
        (-210.68270819092896, 205.69567063383158, -263.7163617113081),
        (212.95222752715495, 205.02496603190622, -264.3885897022663),
        (212.2611432300912, -229.6144892718732, -266.25219688412216),
        (-211.3737924879927, -228.94378466994783, -265.57996889316394),
    ],
    "example-xparm.xds": [
        (-34.171231965078505, 59.97257479472052, -34.03234283279946),
        (-33.80843821041412, -3.1308148770577446, -70.61203928620495),
        (39.13065925192204, -2.820196177578758, -70.42448288572012),
        (38.76786549725766, 60.28319349419951, -33.84478643231462),
    ],
    "XDS.INP": [
        ((0.5 - 1279.1) * 0.172, (1235.3 - 0.5) * 0.172, -190.18),
        ((2463.5 - 1279.1) * 0.172, (1235.3 - 0.5) * 0.172, -190.18),
        ((2463.5 - 1279.1) * 0.172, (1235.3 - 2527.5) * 0.172, -190.18),
        ((0.5 - 1279.1) * 0.172, (1235.3 - 2527.5) * 0.172, -190.18),
    ],
}

TURNED_BY_HAND = {
    # ORGX and ORGY, the distance, the spindle and the beam as the files have them.
    "XDS_2.INP": ((1269.9, 1303.8), 510.997, (1.0, 0.001, 0.006), (-0.003, 0.001, 1.032)),
    "INTEGRATE-tiny.HKL": ((1242.81, 1250.20), 585.907, (-0.999996, 0.002745, -0.000291),
                           (-0.001429, 0.003290, 0.999994)),
}  # fmt: skip
"""Pilatus 6M whose axes are those of XDS' frame, while spindle and beam are not."""


def turned_by_hand(name: str) -> np.ndarray:
    """Corners in the frame whose x is the spindle and whose −z is next to the beam."""
    (orgx, orgy), distance, spindle, beam = TURNED_BY_HAND[name]
    x = np.array(spindle) / np.linalg.norm(spindle)
    across = np.array(beam) - (np.array(beam) @ x) * x
    z = -across / np.linalg.norm(across)
    y = np.array([z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]])
    found = []
    for column, row in ((0.5, 0.5), (2463.5, 0.5), (2463.5, 2527.5), (0.5, 2527.5)):
        place = np.array([(column - orgx) * 0.172, (row - orgy) * 0.172, distance])
        found.append([place @ x, place @ y, place @ z])
    return np.array(found)


@needs_formats
@pytest.mark.parametrize("name", [*CORNERS, *TURNED_BY_HAND])
def test_corners_of_real_files(name: str) -> None:
    (panel,) = read_geometry_file(FILES / name).panels
    known = turned_by_hand(name) if name in TURNED_BY_HAND else CORNERS[name]
    np.testing.assert_allclose(panel.corners(), known, rtol=0, atol=1e-9)


@needs_formats
def test_what_else_real_files_say() -> None:
    thaumatin = read_geometry_file(FILES / "experiments_thaum_0500.expt")
    assert thaumatin.wavelength_A == pytest.approx(0.97625)
    assert thaumatin.polarization == pytest.approx(0.998)
    assert thaumatin.panels[0].masked_px[0] == (488, 493, 1, 2526)  # as dxtbx masks it
    xds = read_geometry_file(FILES / "XDS.INP")
    assert (xds.step_deg, xds.frames) == (0.2, 900)
    assert xds.panels[0].masked_px[0] == (487, 493, 0, 2526)  # the gap of a Pilatus 6M
    crystal = read_geometry_file(FILES / "NEW_XPARM.XDS").crystals_A
    assert crystal is not None
    lengths = np.linalg.norm(crystal[0], axis=1)
    np.testing.assert_allclose(lengths, [57.7831, 57.7831, 150.0135], atol=1e-3)
    integrated = read_geometry_file(FILES / "INTEGRATE-tiny.HKL")
    assert integrated.crystals_A is not None
    lengths = np.linalg.norm(integrated.crystals_A[0], axis=1)
    np.testing.assert_allclose(lengths, [50.387, 185.240, 110.340], atol=2e-3)
    assert (integrated.start_deg, integrated.step_deg) == (-90.0, 1.0)


@needs_formats
def test_sensors_and_space_groups_of_real_files() -> None:
    groups = {"experiments_thaum_0500.expt": "P 4", "split_00.expt": "P 1 21 1",
              "INTEGRATE-tiny.HKL": "3", "XPARM.XDS": "1", "XDS_2.INP": None}  # fmt: skip
    for name, group in groups.items():
        assert read_geometry_file(FILES / name).space_group == group
    assert read_geometry_file(FILES / "XDS_2.INP").sensor == FileSensor(0.32, "Si")
    thaumatin = read_geometry_file(FILES / "experiments_thaum_0500.expt").sensor
    assert thaumatin == FileSensor(1.0, "Si", 3.9220322752480934)
    assert read_geometry_file(FILES / "split_00.expt").sensor is None


@needs_formats
def test_a_sensor_is_taken_where_one_is_asked_for(tmp_path: Path) -> None:
    text = (
        f"[detector]\ngeometry = '{FILES / 'XDS_2.INP'}'\n{{}}\n[crystal]\n"
        "cell_A_deg = [9, 9, 9, 90, 90, 90]\n[structure_factors]\ndefault_F = 1\n"
    )
    assert Experiment.from_toml(text.format(""), tmp_path).detector.sensor == Sensor()
    asked = Experiment.from_toml(text.format("sensor.layers = 3"), tmp_path)
    assert (asked.detector.sensor.thickness_um, asked.detector.sensor.layers) == (320.0, 3)
    # μ/ρ of silicon at 12.8 keV is between NIST's 33.9 (10 keV) and 10.3 cm²/g (15 keV).
    assert 1e4 / (33.9 * 2.329) < asked.detector.sensor.depth_um < 1e4 / (10.3 * 2.329)
    own = Experiment.from_toml(text.format("sensor.depth_um = 100"), tmp_path).detector.sensor
    assert (own.thickness_um, own.depth_um) == (320.0, 100.0)


def same_frame(geometry: FileGeometry) -> FileGeometry:
    """Turn a geometry so that the spindle is +x and the beam as near −z as can be."""
    spindle = np.array([1.0, 0, 0]) if geometry.spindle is None else geometry.spindle
    return turned(geometry, imgcif_rotation(geometry.beam, spindle, geometry.panels[0].fast))


@needs_formats
@pytest.mark.parametrize("to", get_args(Target))
@pytest.mark.parametrize("name", [*CORNERS, *TURNED_BY_HAND])
def test_round_trips(name: str, to: Target, tmp_path: Path) -> None:
    before = read_geometry_file(FILES / name)
    path = tmp_path / f"x.{to}"
    path.write_text(geometry_text(before, to))
    if to == "toml":
        more = (
            ""
            if before.crystals_A is not None
            else "\n[crystal]\ncell_A_deg = [9, 9, 9, 90, 90, 90]"
        )
        text = path.read_text() + more + "\n[structure_factors]\ndefault_F = 1\n"
        scene = build_scene(Experiment.from_toml(text + "[sampling]\noversample = 1\n", tmp_path))
        fast, slow = before.panels[0].size_px
        far = scene.origin + scene.pixel_size * (fast * scene.fast + slow * scene.slow)
        for found, corner in ((scene.origin, 0), (far, 2)):
            np.testing.assert_allclose(
                found * 1000, [p.corners()[corner] for p in before.panels], rtol=0, atol=1e-9
            )
        np.testing.assert_allclose(scene.beam, before.beam, atol=1e-12)
        return
    again = read_geometry_file(path)
    for old, new in zip(same_frame(before).panels, same_frame(again).panels, strict=True):
        np.testing.assert_allclose(new.corners(), old.corners(), rtol=0, atol=1e-9)
        assert new.masked_px == old.masked_px
    assert again.wavelength_A == pytest.approx(before.wavelength_A, rel=1e-12)
    if to == "expt":
        assert (again.step_deg, again.frames) == (before.step_deg, before.frames)
        if before.sensor is not None:
            assert again.sensor == before.sensor
        if before.crystals_A is not None:
            groups = [
                gemmi.find_spacegroup_by_number(int(g))
                if g and g.isdigit()
                else g and gemmi.SpaceGroup(g)
                for g in (before.space_group, again.space_group)
            ]
            assert groups[0] == groups[1]
            np.testing.assert_allclose(again.crystals_A, before.crystals_A, atol=1e-9)
        np.testing.assert_allclose(again.beam, before.beam, atol=1e-12)


def test_a_detector_of_many_panels_survives(tmp_path: Path) -> None:
    turn = axis_rotation([1, 2, 3], 0.1)
    panels = tuple(
        FilePanel(turn @ [40.0 * n - 60, 20.0 + n, -150.0 - n], turn @ [1.0, 0, 0],
                  turn @ [0, -1.0, 0], (0.1, 0.1), (300, 200 + 10 * n), ((3, 7, 0, 9),))
        for n in range(3)
    )  # fmt: skip
    geometry = FileGeometry(panels=panels, wavelength_A=1.3)
    for to in ("expt", "geom"):
        path = tmp_path / f"x.{to}"
        path.write_text(geometry_text(geometry, to))  # type: ignore[arg-type]
        for old, new in zip(panels, read_geometry_file(path).panels, strict=True):
            np.testing.assert_allclose(new.corners(), old.corners(), rtol=0, atol=1e-9)
            assert (new.size_px, new.masked_px) == (old.size_px, old.masked_px)
    with pytest.raises(ExperimentError, match="3 panels cannot be written for XDS"):
        geometry_text(geometry, "xds")
    path = tmp_path / "x.expt"
    experiment = Experiment.from_toml(
        f"[detector]\ngeometry = '{path}'\n[crystal]\ncell_A_deg = [20, 30, 40, 90, 90, 90]\n"
        "cells = [3, 3, 3]\n[structure_factors]\ndefault_F = 1\n[sampling]\noversample = 1",
        tmp_path,
    )
    image = in_memory.simulate(experiment)
    assert image.shape == (1, 3, 220, 300)
    assert not image[0, 0, 200:].any()
    assert image[0, 2, 200:].any()
    assert not image[0, :, :10, 3:8].any()


PIXEL, SIZE, DISTANCE, CENTRE = 0.5, (40, 30), 80.0, (17.3, 12.1)
ORIGIN = np.array([-CENTRE[0] * PIXEL, CENTRE[1] * PIXEL, -DISTANCE])


def write_five(folder: Path) -> list[Path]:
    """Describe one flat detector in DIALS', CrystFEL's, XDS', NeXus' and CBF's words, by hand."""
    h5py = pytest.importorskip("h5py")
    x, y = [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]
    names = [folder / name for name in ("a.expt", "b.geom", "XDS.INP", "d.h5", "e.cbf", "f.cbf")]
    panel = {"origin": ORIGIN.tolist(), "fast_axis": x, "slow_axis": y,
             "pixel_size": [PIXEL, PIXEL], "image_size": list(SIZE)}  # fmt: skip
    names[0].write_text(json.dumps({
        "__id__": "ExperimentList", "experiment": [{"beam": 0, "detector": 0}],
        "beam": [{"direction": [0, 0, 1], "wavelength": 1.1}], "detector": [{"panels": [panel]}],
    }))  # fmt: skip
    names[1].write_text(
        f"wavelength = 1.1 A\nclen = {DISTANCE / 1000}\nres = {1000 / PIXEL}\n"
        f"a/min_fs = 0\na/max_fs = {SIZE[0] - 1}\na/min_ss = 0\na/max_ss = {SIZE[1] - 1}\n"
        f"a/fs = -x\na/ss = -y\na/corner_x = {CENTRE[0]}\na/corner_y = {CENTRE[1]}\n"
    )
    names[2].write_text(
        f"NX={SIZE[0]} NY={SIZE[1]} QX={PIXEL} QY={PIXEL} ! pixels\nDETECTOR_DISTANCE={DISTANCE}\n"
        f"ORGX={CENTRE[0] + 0.5} ORGY={CENTRE[1] + 0.5}\nX-RAY_WAVELENGTH=1.1\n"
        "INCIDENT_BEAM_DIRECTION=0 0 1 ROTATION_AXIS=1 0 0\n"
    )
    with h5py.File(names[3], "w") as file:

        def group(path: str, kind: str) -> Any:
            made = file.create_group(path)
            made.attrs["NX_class"] = kind
            return made

        group("entry", "NXentry")
        group("entry/instrument", "NXinstrument")
        beam = group("entry/instrument/beam", "NXbeam")
        beam["incident_wavelength"] = 0.11
        beam["incident_wavelength"].attrs["units"] = "nm"
        group("entry/instrument/det", "NXdetector")
        module = group("entry/instrument/det/module", "NXdetector_module")
        module["data_size"] = [SIZE[1], SIZE[0]]
        module["z"] = DISTANCE / 10
        module["z"].attrs.update({"units": "cm", "vector": [0, 0, 1], "depends_on": ".",
                                  "transformation_type": "translation"})  # fmt: skip
        module["offset"] = 0.0
        module["offset"].attrs.update({
            "units": "mm", "vector": [1, 0, 0], "depends_on": "z", "offset_units": "mm",
            "offset": [-ORIGIN[0], ORIGIN[1], 0.0], "transformation_type": "translation",
        })  # fmt: skip
        for name, vector in (("fast", [-1, 0, 0]), ("slow", [0, -1, 0])):
            module[f"{name}_pixel_direction"] = PIXEL * 1000
            module[f"{name}_pixel_direction"].attrs.update({
                "units": "um", "vector": vector, "depends_on": "offset",
                "transformation_type": "translation",
            })  # fmt: skip
    names[4].write_text(
        '###CBF: VERSION 1.5\ndata_e\n_array_data.header_convention "PILATUS_1.2"\n'
        f"# Pixel_size {PIXEL / 1000} m x {PIXEL / 1000} m\n# Wavelength 1.1 A\n"
        f"# Detector_distance {DISTANCE / 1000} m\n# Beam_xy ({CENTRE[0]}, {CENTRE[1]}) pixels\n"
        "--CIF-BINARY-FORMAT-SECTION--\n"
        f"X-Binary-Size-Fastest-Dimension: {SIZE[0]}\nX-Binary-Size-Second-Dimension: {SIZE[1]}\n"
    )
    header = imgcif_header("f", Instrument(
        panels=(FlatPanel(ORIGIN, np.array(x), np.array(y), (PIXEL, PIXEL), SIZE),),
        wavelength_A=1.1,
        polarization=0.0, polarization_axis=np.array(x), fluence_photons_per_m2=1.0, exposure_s=1.0,
        spindle=np.array(x), start_deg=np.zeros(1), width_deg=0.0, crystals_A=np.eye(3)[None],
    ), 1000)  # fmt: skip
    names[5].write_text(header + "\n--CIF-BINARY-FORMAT-SECTION--\n")
    return names


def test_one_detector_in_six_formats_makes_one_image(tmp_path: Path) -> None:
    images = []
    for path in write_five(tmp_path):
        experiment = Experiment.from_toml(
            f"[detector]\ngeometry = '{path.name}'\n[structure_factors]\ndefault_F = 100\n"
            "[crystal]\ncell_A_deg = [30, 40, 50, 90, 90, 90]\nmisset_deg = [1, 2, 3]\n"
            "cells = [5, 5, 5]\n[beam]\npolarization = 0.9\n[sampling]\noversample = 1\n",
            tmp_path,
        )
        images.append(in_memory.simulate(experiment))
    assert len(images) == 6
    assert images[0].max() > 0
    for image in images[1:]:
        np.testing.assert_allclose(image, images[0], rtol=1e-10, atol=1e-10 * images[0].max())


def test_bad_regions_by_place_mask_the_pixels_between(tmp_path: Path) -> None:
    """On a turned panel, pixel by pixel: x and y are in pixels, and of a pixel's middle."""
    c, s = np.cos(0.4), np.sin(0.4)
    path = tmp_path / "x.geom"
    path.write_text(
        "wavelength = 1 A\nclen = 0.1\nres = 10000\na/min_fs = 0\na/max_fs = 29\n"
        f"a/min_ss = 0\na/max_ss = 19\na/fs = {c}x {s:+}y\na/ss = {-s}x {c:+}y\na/corner_x = -10\n"
        "a/corner_y = -8\nbad0/min_x = -3\nbad0/max_x = 4\nbad0/min_y = -2.5\nbad0/max_y = 6\n"
    )
    (panel,) = read_geometry_file(path).panels
    masked = np.zeros((20, 30), dtype=bool)
    for f0, f1, s0, s1 in panel.masked_px:
        masked[s0 : s1 + 1, f0 : f1 + 1] = True
    row, column = np.mgrid[:20, :30] + 0.5
    x, y = -10 + column * c - row * s, -8 + column * s + row * c
    np.testing.assert_array_equal(masked, (x >= -3) & (x <= 4) & (y >= -2.5) & (y <= 6))
    assert masked.sum() > 20


def test_a_panel_of_a_refined_geometry_need_not_be_a_rectangle(tmp_path: Path) -> None:
    """As the 16M Jungfrau among CrystFEL's examples: 0.0035 off; what is far from it is refused."""
    text = (
        "wavelength = 1 A\nclen = 0.1\nres = 10000\na/min_fs = 0\na/max_fs = 29\n"
        "a/min_ss = 0\na/max_ss = 19\na/fs = 1.0002x {}y\na/ss = 0.9998y\na/corner_x = -10\n"
        "a/corner_y = -8\n"
    )
    path = tmp_path / "x.geom"
    path.write_text(text.format("+0.0035"))
    (panel,) = read_geometry_file(path).panels
    along = 0.1 * 30 * np.array([-1.0002, 0.0035, 0.0])  # CrystFEL's x is −x here
    np.testing.assert_allclose(panel.corners()[1] - panel.corners()[0], along, atol=1e-12)
    scene = build_scene(Experiment.from_toml(
        f"[detector]\ngeometry = '{path}'\n[crystal]\ncell_A_deg = [30, 40, 50, 90, 90, 90]\n"
        "[structure_factors]\ndefault_F = 1\n", tmp_path,
    ))  # fmt: skip
    middle = panel.origin_mm + 20.5 / 30 * along + 0.1 * 0.9998 * np.array([0, 7.25, 0.0])
    panels, slow, fast = meet_panels(scene, (middle / np.linalg.norm(middle))[None])
    assert panels.tolist() == [0]
    np.testing.assert_allclose([slow[0], fast[0]], [7.25, 20.5], atol=1e-9)
    path.write_text(text.format("+0.05"))
    with pytest.raises(InputFileError, match="right angles"):
        read_geometry_file(path)


def test_pickled_masks_are_never_loaded(tmp_path: Path) -> None:
    """One whose loading would leave a file behind."""
    path = write_five(tmp_path)[0]
    trap = tmp_path / "mask.pickle"
    trap.write_bytes(b"cposix\nsystem\n(S'touch " + bytes(tmp_path / "loaded") + b"'\ntR.")
    document = json.loads(path.read_text())
    document["imageset"] = [{"__id__": "ImageSet", "images": ["a.cbf"], "mask": str(trap)}]
    document["experiment"][0]["imageset"] = 0
    path.write_text(json.dumps(document))
    assert read_geometry_file(path).mask_file is None
    assert not (tmp_path / "loaded").exists()


def test_a_file_without_a_wavelength_asks_for_one(tmp_path: Path) -> None:
    path = write_five(tmp_path)[0]
    path.write_text(path.read_text().replace('"wavelength": 1.1', '"divergence": 0.0'))
    assert read_geometry_file(path).wavelength_A is None
    (tmp_path / "x.toml").write_text(
        "[detector]\ngeometry = 'a.expt'\n[crystal]\ncell_A_deg = [9, 9, 9, 90, 90, 90]\n"
        "[structure_factors]\ndefault_F = 1\n"
    )
    assert "no wavelength" in refusal("describe", tmp_path / "x.toml")
    assert "wavelength" in refusal("convert", path, "--to", "xds")


def test_crystals_of_a_list_are_shots(tmp_path: Path) -> None:
    path = write_five(tmp_path)[0]
    document = json.loads(path.read_text())
    rows = [np.diag([30.0, 40.0, 50.0]) @ axis_rotation([0, 1, n], 0.3).T for n in range(3)]
    document["crystal"] = [
        {f"real_space_{x}": row[i].tolist() for i, x in enumerate("abc")} for row in rows
    ]
    document["experiment"] = [{"beam": 0, "detector": 0, "crystal": n} for n in range(3)]
    path.write_text(json.dumps(document))
    experiment = Experiment.from_toml(
        "[detector]\ngeometry = 'a.expt'\n[structure_factors]\ndefault_F = 1\n", tmp_path
    )
    scene = build_scene(experiment)
    np.testing.assert_allclose(scene.cells * 1e10, rows, atol=1e-9)
    assert Experiment.from_toml(experiment.to_toml(), tmp_path) == experiment


def hostile(folder: Path) -> dict[str, tuple[Path, str]]:
    h5py = pytest.importorskip("h5py")
    expt, geom, xds, nexus, cbf, imgcif = write_five(folder)
    found: dict[str, tuple[Path, str]] = {}

    def text(name: str, like: Path, old: str, new: str, said: str) -> None:
        path = folder / f"{name.replace(' ', '_')}{like.suffix}"
        content = like.read_text()
        assert old in content
        path.write_text(content.replace(old, new))
        found[name] = (path, said)

    text("truncated expt", expt, "}]}", "", "not JSON")
    text("no panels", expt, '"fast_axis"', '"slow"', "fast_axis")
    text("many pixels", expt, "[40, 30]", "[4e9, 30]", "a side has")
    text("NaN", expt, "-80.0", "NaN", "finite")
    text("flat pixels", expt, "[0.5, 0.5]", "[0.5, 0.0]", "pixels of 0.5 x 0 mm")
    text("skew", expt, "[0.0, -1.0, 0.0]", "[0.5, -1.0, 0.0]", "right angles")
    text("unit", geom, "1.1 A", "1.1 furlong", "unknown unit")
    text("clen", geom, "clen = 0.08", "clen = /entry/clen", "detector.distance_mm")
    text("bare", geom, "a/fs = -x", "a/fs -x", "not key = value")
    text("lacking", xds, "ORGX", "ORGZ", "lacks ORGX")
    text("parallel", xds, "ROTATION_AXIS=1 0 0", "ROTATION_AXIS=0 0 1", "parallel")
    text("segments", xds, "ROTATION", "SEGMENT=1 2 3 4 ROTATION", "segments")
    text("header", cbf, "Beam_xy", "Beam", "lacks Beam_xy")
    text("circle", imgcif, "DETECTOR_Z translation detector .",
         "DETECTOR_Z translation detector ELEMENT_X", "circle")  # fmt: skip
    two = json.loads(expt.read_text())
    two["detector"][0]["panels"] *= 2
    (folder / "two.expt").write_text(json.dumps(two))
    found["overlap"] = (folder / "two.expt", "panels 0 and 1 overlap")
    deep = folder / "deep.expt"
    deep.write_text("[" * 100000)
    found["deep"] = (deep, "no geometry file")
    (folder / "deeper.expt").write_text('{"a":' * 100000)
    found["deeper"] = (folder / "deeper.expt", "not JSON")
    data = nexus.read_bytes()
    (folder / "cut.h5").write_bytes(data[: len(data) // 2])
    found["cut"] = (folder / "cut.h5", "HDF5")
    for name, attribute, value, said in (
        ("chain", "depends_on", "offset", "circle"),
        ("metres", "units", "parsec", "unknown unit"),
        ("kind", "transformation_type", "shear", "no translation or rotation"),
        ("lost", "depends_on", "nowhere", "nowhere"),
    ):
        path = folder / f"{name}.h5"
        path.write_bytes(data)
        with h5py.File(path, "r+") as file:
            file["entry/instrument/det/module/z"].attrs[attribute] = value
        found[name] = (path, said)
    (folder / "image.png").write_bytes(b"\x89PNG123")
    found["other"] = (folder / "image.png", "no geometry file")
    found["missing"] = (folder / "nothing.expt", "does not exist")
    return found


def test_bad_files_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, (path, said) in hostile(tmp_path).items():
        with pytest.raises(InputFileError) as raised:
            read_geometry_file(path)
        message = str(raised.value)
        assert said in message.replace(str(path), ""), (name, message)
        assert "\n" not in message
        assert path.name in message


def test_names_of_detectors() -> None:
    from tiledsim.geometry_files.named import NAMED

    text = (
        "[beam]\nwavelength_A = 1\n[crystal]\ncell_A_deg = [9, 9, 9, 90, 90, 90]\n"
        "[structure_factors]\ndefault_F = 1\n[detector]\ndistance_mm = 200\nmodel = "
    )
    for name, known in NAMED.items():
        detector = Experiment.from_toml(f"{text}'{name}'", Path("/")).detector
        assert detector.size_px == known.size_px
        across, down, *_ = known.modules
        assert len(detector.masked_px) == across + down - 2
    assert NAMED["eiger-16m"].size_px == (4150, 4371)
    assert NAMED["jungfrau-16m"].size_px == (4144, 4364)
    pilatus = Experiment.from_toml(f"{text}'pilatus-6m'", Path("/")).detector
    assert pilatus.masked_px[0] == (487, 493, 0, 2526)
    with pytest.raises(ExperimentError, match="did you mean 'eiger-16m'"):
        Experiment.from_toml(f"{text}'eiger-16'", Path("/"))
    with pytest.raises(ExperimentError, match=r"detector\.model and detector\.size_px"):
        Experiment.from_toml(f"{text}'eiger-1m'\nsize_px = [2, 2]", Path("/"))


def test_convert_from_the_command_line(tmp_path: Path) -> None:
    path = write_five(tmp_path)[0]
    done = tiledsim("convert", path, "--to", "geom", "--output", tmp_path / "out.geom")
    assert done.returncode == 0, done.stderr
    (panel,) = read_geometry_file(tmp_path / "out.geom").panels
    np.testing.assert_allclose(panel.origin_mm, ORIGIN, atol=1e-9)
    assert "must be one of expt" in refusal("convert", path, "--to", "dxf")
    flags = ("-cell", "70", "80", "90", "90", "90", "90", "-default_F", "1", "-lambda", "1",
             "-N", "1", "-distance", "100")  # fmt: skip
    done = tiledsim("convert", "--to", "xds", "--mode", "spec", *flags)
    assert done.returncode == 0, done.stderr
    assert "DETECTOR_DISTANCE= " in done.stdout
    assert replace(read_geometry_file(path)).wavelength_A == 1.1

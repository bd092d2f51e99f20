"""DIALS' experiment lists (.expt, .json).

A panel stands relative to its parent in the detector's hierarchy; the beam's direction points to
the source; crystals are given at goniometer zero, before the fixed rotation F and the setting
rotation S: r = S·R(φ)·F·r₀, which is R about S·axis of S·F·r₀.  Masks of single pixels are pickles
of Python and are never loaded; rectangles of panels are taken.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim.errors import InputFileError
from tiledsim.geometry_files.described import FileGeometry, FilePanel, clip, finite
from tiledsim.geometry_files.sensor import FileSensor, known_material
from tiledsim.io.text import read_text
from tiledsim.vectors import Array, axis_rotation, unit

LARGEST = 256 * 2**20
DEEPEST = 32


def read_expt(path: Path) -> FileGeometry:
    """Read an experiment list; raises InputFileError."""
    try:
        document = json.loads(read_text(path, "geometry", LARGEST))
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{path} is not JSON: {str(error)[:100]}") from None
    if not isinstance(document, dict) or document.get("__id__") != "ExperimentList":
        raise InputFileError(f"{path} is JSON, but not an experiment list of DIALS")
    try:
        return _read(document)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputFileError(
            f"{path}: a damaged experiment list: {type(error).__name__} {str(error)[:80]}"
        ) from None
    except ValueError as error:
        raise InputFileError(f"{path}: {error}") from None


def _read(document: dict[str, Any]) -> FileGeometry:
    experiments = document["experiment"]
    if not experiments:
        raise ValueError("the experiment list is empty")

    def model(kind: str, experiment: dict[str, Any]) -> Any:
        number = experiment.get(kind)
        return document[kind][number] if number is not None and document.get(kind) else None

    first = experiments[0]
    for kind in ("detector", "beam", "scan", "goniometer"):
        if any(model(kind, other) != model(kind, first) for other in experiments):
            raise ValueError(f"experiments of different {kind}s; one {kind} is supported: split "
                             "the list with dials.split_experiments")  # fmt: skip
    beam, gonio, scan = (model(kind, first) for kind in ("beam", "goniometer", "scan"))
    crystals = [model("crystal", experiment) for experiment in experiments]
    spindle, resting = _goniometer(gonio)
    start, step, frames = _scan(scan)
    if frames is not None and step and len(experiments) > 1:
        raise ValueError(f"{len(experiments)} crystals in one scan; one is supported")
    vectors = None
    if all(crystal is not None for crystal in crystals):
        vectors = np.stack([_vectors(crystal) @ resting.T for crystal in crystals])
    source = unit(finite(beam["direction"], 3, "the beam's direction"))
    normal = finite(beam.get("polarization_normal", (0, 1, 0)), 3, "polarization_normal")
    fraction = float(beam.get("polarization_fraction", 0.999))
    return FileGeometry(
        panels=_panels(model("detector", first)),
        beam=-source,
        wavelength_A=None if beam.get("wavelength") is None else float(beam["wavelength"]),
        polarization=2.0 * fraction - 1.0,
        polarization_axis=unit(np.cross(normal, source)),
        spindle=spindle,
        start_deg=start,
        step_deg=step or None,
        frames=frames if step else None,
        crystals_A=vectors,
        sensor=_sensor(model("detector", first)["panels"]),
        space_group=_space_group(crystals[0]),
    )


def _sensor(panels: list[dict[str, Any]]) -> FileSensor | None:
    """Return the sensor of the first panel; a detector has one material."""
    thickness = float(panels[0].get("thickness") or 0.0)
    if not thickness > 0.0:
        return None
    mu = float(panels[0].get("mu") or 0.0)
    return FileSensor(thickness, known_material(str(panels[0].get("material"))), mu or None)


def _space_group(crystal: dict[str, Any] | None) -> str | None:
    """Return the symbol of the group that a Hall symbol stands for; None for none."""
    hall = "" if crystal is None else str(crystal.get("space_group_hall_symbol", ""))
    if not hall.strip():
        return None
    import gemmi

    try:
        found = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(hall))
    except (RuntimeError, ValueError):
        found = None
    if found is None:
        raise ValueError(f"space_group_hall_symbol {hall[:40]!r} is no space group")
    return found.xhm()


def _vectors(crystal: dict[str, Any]) -> Array:
    return np.stack([finite(crystal[f"real_space_{x}"], 3, f"real_space_{x}") for x in "abc"])


def _frame(node: dict[str, Any]) -> Array:
    """Return fast, slow, normal and origin of a node as the columns of a matrix [4, 4]."""
    fast, slow = (finite(node[f"{x}_axis"], 3, f"{x}_axis") for x in ("fast", "slow"))
    frame = np.eye(4)
    frame[:3] = np.column_stack(
        [fast, slow, np.cross(fast, slow), finite(node["origin"], 3, "origin")]
    )
    return frame


def _panels(detector: dict[str, Any]) -> tuple[FilePanel, ...]:
    panels = detector["panels"]
    frames: dict[int, Array] = {}

    def walk(node: dict[str, Any], parent: Array, depth: int) -> None:
        if depth > DEEPEST:
            raise ValueError(f"a hierarchy of panels deeper than {DEEPEST}")
        if "panel" in node:
            frames[node["panel"]] = parent @ _frame(panels[node["panel"]])
            return
        here = parent @ _frame(node)
        for child in node.get("children", []):
            walk(child, here, depth + 1)

    root = detector.get("hierarchy")
    if root and root.get("children"):
        walk(root, np.eye(4), 0)
    return tuple(
        _panel(panel, frames[n] if n in frames else _frame(panel)) for n, panel in enumerate(panels)
    )


def _panel(panel: dict[str, Any], frame: Array) -> FilePanel:
    fast, slow = (int(n) for n in finite(panel["image_size"], 2, "image_size"))
    across, down = finite(panel["pixel_size"], 2, "pixel_size")
    masked = []
    for rectangle in panel.get("mask", []):
        f0, s0, f1, s1 = (int(n) for n in finite(rectangle, 4, "a rectangle of mask"))
        masked.append(clip((f0, f1 - 1, s0, s1 - 1), (fast, slow)))
    return FilePanel(
        frame[:3, 3], frame[:3, 0], frame[:3, 1], (float(across), float(down)), (fast, slow),
        tuple(kept for kept in masked if kept is not None),
    )  # fmt: skip


def _goniometer(gonio: dict[str, Any] | None) -> tuple[Array | None, Array]:
    """Return the rotation axis in the lab and what turns the crystal to where it is at φ = 0."""
    if not gonio:
        return None, np.eye(3)
    if "axes" in gonio:  # from the sample outwards
        turn, spindle = np.eye(3), None
        for number, (axis, angle) in enumerate(zip(gonio["axes"], gonio["angles"], strict=True)):
            along = finite(axis, 3, "an axis of the goniometer")
            if number == gonio["scan_axis"]:
                spindle = along
                continue
            step = axis_rotation(along, float(np.radians(finite(angle, 1, "an angle")[0])))
            turn = step @ turn
            spindle = spindle if spindle is None else step @ spindle
        if spindle is None:
            raise ValueError("scan_axis names no axis of the goniometer")
        return spindle, turn
    fixed, setting = (
        finite(gonio.get(f"{name}_rotation", np.eye(3)), 9, f"{name}_rotation").reshape(3, 3)
        for name in ("fixed", "setting")
    )
    return setting @ finite(gonio["rotation_axis"], 3, "rotation_axis"), setting @ fixed


def _scan(scan: dict[str, Any] | None) -> tuple[float, float, int | None]:
    """Return start and width of an image [deg] and their number; of a still 0, 0, None.

    Since dxtbx 3.17 ``oscillation`` lists the start of every image.
    """
    if not scan:
        return 0.0, 0.0, None
    first, last = (int(n) for n in finite(scan["image_range"], 2, "image_range"))
    count = last - first + 1
    if "properties" not in scan:
        start, width = finite(scan["oscillation"], 2, "oscillation")
        return float(start), float(width), count
    starts = scan["properties"].get("oscillation", [])
    if "oscillation_width" in scan["properties"]:
        width = finite(scan["properties"]["oscillation_width"][:1], 1, "oscillation_width")[0]
        return float(starts[0]), float(width), count
    if len(starts) != count or count < 2:
        raise ValueError(f"an oscillation of {len(starts)} numbers for {count} images")
    values = finite(starts, count, "oscillation")
    steps = np.diff(values)
    if np.abs(steps - steps[0]).max() > 1e-6:
        raise ValueError("images that do not turn by the same angle each")
    return float(values[0]), float(values[-1] - values[0]) / (count - 1), count

"""The scene of one shot, from the scene of a campaign and a row of its table."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from tiledsim.campaign.columns import CELL, CELLS, TURN
from tiledsim.campaign.spectra import sase_spectrum
from tiledsim.scene import Scene
from tiledsim.scene.crystal.lattice import cell_of, dual, standard_reciprocal
from tiledsim.scene.crystal.random import quaternion_rotations
from tiledsim.scene.crystal.real_crystal import weakening
from tiledsim.scene.resolution import fine_oversampling
from tiledsim.tile import Tile
from tiledsim.units import ANGSTROM, MM, UM
from tiledsim.vectors import Array, axis_rotation


def alone(scene: Scene, tile: Tile) -> tuple[Scene, Tile]:
    """Return the scene of the tile's shot alone, and the tile in it.

    Parameters
    ----------
    scene
        Of one shot and a table of what differs, or of shots that differ in their cells alone, which
        are returned as they are.
    tile
        Of any shot.
    """
    if scene.shot_values is None:
        return scene, tile
    return scene_of_shot(scene, tile.shot), replace(tile, shot=0)


@lru_cache(maxsize=4)
def scene_of_shot(scene: Scene, shot: int) -> Scene:
    """Return the scene of a single shot of a campaign; what is the same is shared with it.

    It is named after the campaign's hash and the shot, so that its tables need not be read.
    """
    assert scene.shot_values is not None
    values = map(float, scene.shot_values[shot])
    row = dict(zip(scene.shot_names, values, strict=True))
    changes: dict[str, Any] = {
        "shape": (1, *scene.shape[1:]),
        "shot_names": (),
        "shot_values": None,
    }
    changes |= _crystal(scene, row) | _beam(scene, row, shot) | _detector(scene, row)
    if "water_um" in row:
        changes["water"] = row["water_um"] / UM
    if "noise_seed" in row and scene.noise is not None:
        changes["noise"] = scene.noise._replace(seed=int(row["noise_seed"]))
    one = replace(scene, **changes)
    if scene.auto_oversample:
        one = replace(one, oversample=fine_oversampling(
            one.cells[0], one.cell_counts, float(np.abs(one.distance).min()), one.pixel_size,
            one.central_wavelength,
        ))  # fmt: skip
    one.__dict__["hash"] = sha256(f"{scene.hash} shot {shot}".encode()).hexdigest()
    return one


def cells_of_shots(scene: Scene) -> Array:
    """Return the direct vectors a, b, c of every shot of a campaign [shots, 3, 3] in metres."""
    values, names = scene.shot_values, scene.shot_names
    assert values is not None
    if any(name in names for name in CELL):
        rows = (dict(zip(names, map(float, row), strict=True)) for row in values)
        return np.stack([_vectors(scene, row)[0] for row in rows])
    if TURN[0] not in names:
        return np.repeat(scene.cells, len(values), axis=0)
    turns = quaternion_rotations(values[:, [names.index(name) for name in TURN]])
    return np.asarray(scene.cells @ turns.transpose(0, 2, 1))


def _vectors(scene: Scene, row: Mapping[str, float]) -> tuple[Array, Array]:
    """Return direct [m] and reciprocal [1/Å] vectors of a shot, [3, 3] each."""
    direct, reciprocal = scene.cells[0], scene.reciprocal_A[0]
    if any(name in row for name in CELL):
        before = cell_of(direct * ANGSTROM)
        a, b, c, alpha, beta, gamma = (
            row.get(name, value) for name, value in zip(CELL, before, strict=True)
        )
        # What takes the default setting to the crystal as it stands is the same for both cells.
        stands = np.linalg.solve(standard_reciprocal(before), reciprocal)
        reciprocal = standard_reciprocal((a, b, c, alpha, beta, gamma)) @ stands
        direct = dual(reciprocal) / ANGSTROM
    if TURN[0] in row:
        turn = quaternion_rotations(np.array([[row[name] for name in TURN]]))[0]
        direct, reciprocal = direct @ turn.T, reciprocal @ turn.T
    return direct, reciprocal


def _crystal(scene: Scene, row: Mapping[str, float]) -> dict[str, Any]:
    direct, reciprocal = _vectors(scene, row)
    changes: dict[str, Any] = {"cells": direct[None], "reciprocal_A": reciprocal[None]}
    counts = tuple(
        int(row.get(name, count)) for name, count in zip(CELLS, scene.cell_counts, strict=True)
    )
    changes["cell_counts"] = counts
    if "blocks" in row:
        changes["blocks"] = row["blocks"]
    elif scene.blocks != 1.0:  # of a crystal of the same volume
        size = abs(np.linalg.det(scene.cells[0])) * np.prod(scene.cell_counts)
        changes["blocks"] = scene.blocks * float(
            size / (abs(np.linalg.det(direct)) * np.prod(counts))
        )
    if "mosaic_spread_deg" in row and scene.mosaic_vectors is not None:
        changes["rotations"] = mosaic_turns(
            scene.mosaic_vectors * np.radians(row["mosaic_spread_deg"]), scene.rotations
        )
    if "B_A2" in row:
        assert scene.absent_F is not None
        weaker = weakening(scene.F_table.shape, scene.hkl_lowest, reciprocal, row["B_A2"])
        weaker[scene.absent_F] = 1.0
        changes["F_table"] = scene.F_table * weaker
        if scene.F_complex is not None:
            changes["F_complex"] = scene.F_complex * weaker[..., None]
    return changes


def mosaic_turns(vectors: Array, spun: Array) -> Array:
    """Return the rotations [K·D, 3, 3] of domains with rotation vectors [D, 3].

    ``spun`` [K·D, 3, 3] has the same φ steps, outermost, and a first domain that is not turned.
    """
    count = len(vectors)
    angles = np.linalg.norm(vectors, axis=1)
    turns = np.stack([
        axis_rotation(v, float(angle)) if angle > 0.0 else np.eye(3)
        for v, angle in zip(vectors, angles, strict=True)
    ])  # fmt: skip
    spins = spun.reshape(-1, count, 3, 3)[:, 0]
    return np.asarray(np.einsum("dij,kjl->kdil", turns, spins).reshape(-1, 3, 3))


def _beam(scene: Scene, row: Mapping[str, float], shot: int) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if "wavelength_A" in row:
        ratio = row["wavelength_A"] / ANGSTROM / scene.central_wavelength
        changes["wavelength"] = scene.wavelength * ratio
        changes["central_wavelength"] = row["wavelength_A"] / ANGSTROM
    if "fluence_photons_per_m2" in row:
        changes["fluence"] = row["fluence_photons_per_m2"]
    if "polarization" in row:
        changes["polarization"] = row["polarization"]
    if scene.sase is not None:
        spectrum = sase_spectrum(scene.sase, shot)
    elif scene.spectra is not None:
        spectrum = np.asarray(scene.spectra[int(row.get("spectrum", shot))])
    else:
        return changes
    changes["weight"] = np.tile(spectrum, scene.sources // len(spectrum))
    return changes


def _detector(scene: Scene, row: Mapping[str, float]) -> dict[str, Any]:
    shift = np.zeros(3)
    if "distance_mm" in row:
        shift += (row["distance_mm"] / MM - scene.base_distance) * scene.beam
    shift += row.get("detector_shift_fast_mm", 0.0) / MM * scene.fast[0]
    shift += row.get("detector_shift_slow_mm", 0.0) / MM * scene.slow[0]
    if not shift.any():
        return {}
    origin = scene.origin + shift
    close = (origin * scene.normal).sum(axis=1)
    along = scene.normal @ scene.beam
    distance = np.where(np.abs(along) > 1e-9, close / np.where(along == 0.0, 1.0, along), close)
    return {"origin": origin, "close_distance": close, "distance": distance}

"""The scene of one shot, from the scene of a campaign and a row of its table."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from tiledsim.campaign.cells import duals, standing
from tiledsim.campaign.columns import CELL, CELLS, LAYERS, TURN
from tiledsim.campaign.orientations import lattice_turns
from tiledsim.campaign.spectra import sase_spectrum
from tiledsim.scene import Scene
from tiledsim.scene.background import attenuation_ratio
from tiledsim.scene.crystal.block import cells_in_block
from tiledsim.scene.crystal.lattice import cell_of
from tiledsim.scene.crystal.random import quaternion_rotations
from tiledsim.scene.crystal.real_crystal import weakening
from tiledsim.scene.pixels import pixel_m
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
    one, shot = scene_and_shot(scene, tile.shot)
    return one, tile if shot == tile.shot else replace(tile, shot=shot)


def scene_and_shot(scene: Scene, shot: int) -> tuple[Scene, int]:
    """Return a scene that has a shot's own vectors and sources, and the shot's number in it."""
    return (scene, shot) if scene.shot_values is None else (scene_of_shot(scene, shot), 0)


@lru_cache(maxsize=2 + (os.cpu_count() or 2))
def scene_of_shot(scene: Scene, shot: int) -> Scene:
    """Return the scene of a single shot of a campaign; what is the same is shared with it.

    It is named after the campaign's hash and the shot, so that its tables need not be read.
    """
    assert scene.shot_values is not None
    values = np.asarray(scene.shot_values[shot])
    row = dict(zip(scene.shot_names, map(float, values), strict=True))
    changes: dict[str, Any] = {
        "shape": (1, *scene.shape[1:]),
        "shot_names": (),
        "shot_values": None,
    }
    changes |= _crystal(scene, row, values) | _beam(scene, row, shot) | _detector(scene, row)
    if row.get("lattices", 1.0) > 1.0:
        changes |= _lattices(scene, row, shot, changes)
    if "water_um" in row:
        changes["water"] = row["water_um"] / UM
    if "noise_seed" in row and scene.noise is not None:
        changes["noise"] = scene.noise._replace(seed=int(row["noise_seed"]))
    changes |= _layers(scene, row, changes)
    one = replace(scene, **changes)
    if "F_table" not in changes:  # one pass over it is enough for all shots
        one.__dict__["strongest_F"] = scene.strongest_F
    if scene.auto_oversample:
        coarsest = max(side for panel in range(one.shape[1]) for side in pixel_m(one, panel))
        one = replace(one, oversample=fine_oversampling(
            one.cells[0], one.cell_counts, float(np.abs(one.distance).min()), coarsest,
            one.central_wavelength,
        ))  # fmt: skip
    one.__dict__["hash"] = sha256(f"{scene.hash} shot {shot}".encode()).hexdigest()
    return one


def cells_of_shots(scene: Scene, first: int, stop: int) -> Array:
    """Return the direct vectors a, b, c of shots of a campaign [shots, 3, 3] in metres."""
    assert scene.shot_values is not None
    return _vectors(scene, scene.shot_values[first:stop])[0]


def _vectors(scene: Scene, values: Array) -> tuple[Array, Array]:
    """Return direct [m] and reciprocal [1/Å] vectors, [n, 3, 3] each, of rows of the table."""
    names, n = scene.shot_names, len(values)
    direct, reciprocal = (np.repeat(v[:1], n, axis=0) for v in (scene.cells, scene.reciprocal_A))
    if any(name in names for name in CELL):
        before = scene.cells[0] * ANGSTROM
        cells = np.tile(np.array(cell_of(before)), (n, 1))
        for k, name in enumerate(CELL):
            if name in names:
                cells[:, k] = values[:, names.index(name)]
        reciprocal = standing(cells, before, scene.reciprocal_A[0])
        direct = duals(reciprocal) / ANGSTROM
    if TURN[0] in names:
        turns = quaternion_rotations(values[:, [names.index(name) for name in TURN]])
        back = turns.transpose(0, 2, 1)
        direct, reciprocal = direct @ back, reciprocal @ back
    return direct, reciprocal


def _crystal(scene: Scene, row: Mapping[str, float], values: Array) -> dict[str, Any]:
    direct, reciprocal = (vectors[0] for vectors in _vectors(scene, values[None]))
    changes: dict[str, Any] = {"cells": direct[None], "reciprocal_A": reciprocal[None]}
    a, b, c = (
        int(row.get(name, count)) for name, count in zip(CELLS, scene.cell_counts, strict=True)
    )
    changes["cell_counts"] = counts = (a, b, c)
    if "blocks" in row:
        changes["blocks"] = row["blocks"]
    elif scene.blocks != 1.0:  # of a crystal of the same volume
        size = abs(np.linalg.det(scene.cells[0])) * scene.cells_in_block
        cells = cells_in_block(counts, scene.cross_counts)
        changes["blocks"] = scene.blocks * float(size / (abs(np.linalg.det(direct)) * cells))
    if "mosaic_spread_deg" in row and scene.mosaic_vectors is not None:
        changes["rotations"] = mosaic_turns(
            scene.mosaic_vectors * np.radians(row["mosaic_spread_deg"]), scene.rotations
        )
    if "B_A2" in row:
        assert scene.absent_F is not None
        weaker = weakening(scene.F_table.shape, scene.hkl_lowest, reciprocal, row["B_A2"])
        weaker[scene.absent_F] = 1.0
        changes["F_table"] = np.multiply(scene.F_table, weaker)
        if scene.F_complex is not None:
            changes["F_complex"] = scene.F_complex * weaker[..., None]
    return changes


def _lattices(
    scene: Scene, row: Mapping[str, float], shot: int, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Put further crystals beside the first, as orientations of a larger one.

    The orientations of a scene share its blocks; so there are as many times the blocks as crystals.
    """
    assert scene.lattices is not None  # by build_campaign
    count = int(row["lattices"])
    own = np.array([[row[name] for name in TURN]]) if TURN[0] in row else [[1.0, 0.0, 0.0, 0.0]]
    turns = np.concatenate([own, lattice_turns(scene.lattices, shot, count - 1)])
    first, *others = quaternion_rotations(turns)
    away = np.stack([np.eye(3), *(turn @ first.T for turn in others)])
    rotations = changes.get("rotations", scene.rotations)
    phis = rotations.reshape(len(scene.phi), -1, 3, 3)
    made = np.einsum("kdij,cjl->kcdil", phis, away).reshape(-1, 3, 3)
    found: dict[str, Any] = {
        "rotations": made, "blocks": count * changes.get("blocks", scene.blocks)
    }  # fmt: skip
    if scene.domain_mix is not None:
        mixes = scene.domain_mix.reshape(len(scene.phi), 1, -1, 3, 3)
        found["domain_mix"] = np.tile(mixes, (1, count, 1, 1, 1)).reshape(-1, 3, 3)
    return found


def _layers(scene: Scene, row: Mapping[str, float], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the amorphous layers of a shot are: as bright, thick and dark as they are."""
    if scene.amorphous_photons is None or scene.amorphous_depth is None:
        return {}
    photons, depth = np.array(scene.amorphous_photons), np.array(scene.amorphous_depth)
    if "fluence" in changes:
        photons *= changes["fluence"] / scene.fluence
    if "wavelength" in changes:
        for layer, material in enumerate(scene.amorphous_materials):
            if material:
                depth[layer] *= attenuation_ratio(material, scene.wavelength, changes["wavelength"])
    for layer, name in enumerate(LAYERS[: len(photons)]):
        if name in row:
            assert scene.amorphous_thickness is not None
            thicker = row[name] / MM / scene.amorphous_thickness[layer]
            photons[layer] *= thicker
            depth[layer] *= thicker
    return {"amorphous_photons": photons, "amorphous_depth": depth}


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

"""A rotation series from an MTZ file in one command: spots lie where Bragg's law puts them.

The predictor is written here, from Bragg's law and the cell alone.
"""

from pathlib import Path
from typing import NamedTuple

import gemmi
import numpy as np
import pytest

from tests.unit.command import tiledsim
from tests.unit.formats import FORMATS, needs_formats

MTZ = FORMATS / "p1" / "HEWL_refined.mtz"
WAVELENGTH_A, DISTANCE_MM, PIXEL_MM, SIZE_PX = 1.0, 120.0, 0.1, 480
WIDTH_DEG, FRAMES, STEPS = 0.5, 20, 5
CENTRE_PX = (233.0, 251.0)
"""Where the direct beam meets the detector, fast and slow."""
EXPERIMENT = f"""
[beam]
wavelength_A = {WAVELENGTH_A}
direction = [0, 0, -1]
polarization_axis = [1, 0, 0]
[structure_factors]
file = "{MTZ}"
[crystal]
misset_deg = [12, 25, 38]
cells = [12, 12, 25]
shape = "gauss"
[detector]
pixel_mm = {PIXEL_MM}
size_px = [{SIZE_PX}, {SIZE_PX}]
[[detector.panels]]
origin_mm = [{-CENTRE_PX[0] * PIXEL_MM}, {CENTRE_PX[1] * PIXEL_MM}, {-DISTANCE_MM}]
fast_axis = [1, 0, 0]
slow_axis = [0, -1, 0]
[rotation]
frames = {FRAMES}
step_deg = {WIDTH_DEG}
steps = {STEPS}
axis = [1, 0, 0]
[sampling]
oversample = 1
"""
REACH_PX, REACH_FRAMES = 4, 2
"""Around a prediction, in which its spot is."""
THICKNESS_PER_A = 2e-3
"""Of a reflection of so few cells, from its middle to where it is faint."""


class Spots(NamedTuple):
    """Where n reflections meet the Ewald sphere."""

    angle_deg: np.ndarray
    slow: np.ndarray
    fast: np.ndarray
    """Pixels from the outer corner of pixel 0,0."""
    lasts: np.ndarray
    """Frames in which they pass through the sphere, half of them."""


def about(axis: int, angle_deg: float) -> np.ndarray:
    """Rotation by an angle about x, y or z."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    turn[i, i] = turn[j, j] = c
    turn[i, j], turn[j, i] = -s, s
    return turn


def predict(cell: gemmi.UnitCell, dmin_A: float) -> Spots:
    """Find where |s0 + q| = |s0| while q turns about x, for all reflections to a resolution.

    With s0 = −z/λ that is q_z = |q|²·λ/2, and q_z(φ) = q_z cos φ + q_y sin φ.
    """
    assert np.allclose([cell.alpha, cell.beta, cell.gamma], 90)
    turn = about(2, 38) @ about(1, 25) @ about(0, 12)
    top = [int(length / dmin_A) for length in (cell.a, cell.b, cell.c)]
    hkl = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in top], indexing="ij"), -1)
    q = (hkl.reshape(-1, 3) / [cell.a, cell.b, cell.c]) @ turn.T
    size = np.linalg.norm(q, axis=1)
    q = q[(size > 0.02) & (size < 1 / dmin_A)]
    radius, phase = np.hypot(q[:, 1], q[:, 2]), np.arctan2(q[:, 1], q[:, 2])
    half = WAVELENGTH_A / 2 * (q**2).sum(axis=1)
    meets = radius > half - THICKNESS_PER_A
    q, radius, phase, half = q[meets], radius[meets], phase[meets], half[meets]
    half = np.minimum(half, radius)  # one that only touches the sphere is where it comes nearest
    found = []
    for sign in (1, -1):
        phi = np.mod(phase + sign * np.arccos(half / radius) + np.pi, 2 * np.pi) - np.pi
        c, s = np.cos(phi), np.sin(phi)
        ray = np.stack([q[:, 0], q[:, 1] * c - q[:, 2] * s, q[:, 1] * s + q[:, 2] * c], axis=1)
        ray[:, 2] -= 1 / WAVELENGTH_A
        x, y = ray[:, :2].T / -ray[:, 2] * DISTANCE_MM / PIXEL_MM
        speed = np.maximum(np.sqrt(radius**2 - half**2), 1e-3)
        lasts = THICKNESS_PER_A / speed / np.radians(WIDTH_DEG)
        found.append(np.array([np.degrees(phi), CENTRE_PX[1] - y, CENTRE_PX[0] + x, lasts]))
    every = np.hstack(found)
    frame, slow, fast, lasts = every[0] / WIDTH_DEG, *every[1:]
    seen = (np.abs(frame - FRAMES / 2) < FRAMES / 2 + REACH_FRAMES + lasts) & (slow > -REACH_PX)
    seen &= (slow < SIZE_PX + REACH_PX) & (fast > -REACH_PX) & (fast < SIZE_PX + REACH_PX)
    return Spots(*every[:, seen])


@needs_formats
def test_spots_of_twenty_frames_are_where_bragg_has_them(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    (tmp_path / "x.toml").write_text(EXPERIMENT)
    done = tiledsim("run", tmp_path / "x.toml", "-o", tmp_path / "x.zarr", "--quiet")
    assert done.returncode == 0, done.stderr
    image = np.asarray(zarr.open_group(tmp_path / "x.zarr", mode="r")["image"])[:, 0]
    assert image.shape == (FRAMES, SIZE_PX, SIZE_PX)
    spots = predict(gemmi.read_mtz_file(str(MTZ)).cell, 3.0)
    at = np.stack([spots.angle_deg / WIDTH_DEG, spots.slow, spots.fast], axis=1)
    reach = np.stack([REACH_FRAMES + spots.lasts, *np.full((2, len(at)), REACH_PX)], axis=1)
    near = np.zeros(image.shape, dtype=bool)
    found, light = np.zeros_like(at), np.zeros(len(at))
    for n, (low, high) in enumerate(zip(at - reach, at + reach + 1, strict=True)):
        box = tuple(slice(max(0, int(a)), max(0, int(b))) for a, b in zip(low, high, strict=True))
        near[box] = True
        part = image[box].astype(np.float64)
        light[n] = part.sum()
        if light[n] > 0:
            for axis, places in enumerate(np.meshgrid(
                *[np.arange(s.start, s.start + k) for s, k in zip(box, part.shape, strict=True)],
                indexing="ij",
            )):  # fmt: skip
                found[n, axis] = (places * part).sum() / light[n]

    # Every strong pixel is beside a prediction, and those cover a small part of the images.
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] + 0.5
    radius = np.hypot(y - CENTRE_PX[1], x - CENTRE_PX[0]) * PIXEL_MM
    d_A = WAVELENGTH_A / 2 / np.sin(np.arctan(radius / DISTANCE_MM) / 2)
    inner = np.broadcast_to((d_A > 3.2) & (d_A < 15), image.shape)
    strong = inner & (image > 0.02 * image[inner].max())
    assert strong.sum() > 1000
    assert near[strong].all()
    assert near[inner].mean() < 0.15

    # Of whole spots that no other is near, the middles are where they should be.
    apart = (np.abs(at[:, None] - at) > [2 * REACH_FRAMES + 1, 2 * REACH_PX, 2 * REACH_PX]).any(-1)
    np.fill_diagonal(apart, True)
    inside = ((at > 8) & (at < SIZE_PX - 8))[:, 1:].all(axis=1) & (np.abs(at[:, 0] - 10) < 7)
    whole = apart.all(axis=1) & inside & (spots.lasts < 1.5) & (light > np.median(light))
    # A frame is as its steps, which begin it; a pixel is as its middle.
    off = (found + np.array([(STEPS - 1) / 2 / STEPS, 0.5, 0.5]) - at)[whole]
    assert len(off) > 40
    assert np.abs(off[:, 0]).max() < 0.15  # of a frame, which has five steps
    assert np.abs(off[:, 1:]).max() < 0.03  # of a pixel

"""Sizes of pixels, which may differ between panels and along fast and slow."""

from tiledsim.scene.scene import Scene
from tiledsim.vectors import Array


def pixel_axes(scene: Scene, panel: int) -> tuple[Array, Array]:
    """Vectors along fast and slow [3], as long as a pixel's sides over ``scene.pixel_size``.

    Kernels take steps of ``pixel_size`` along these.
    """
    if scene.pixel_sides is None:
        return scene.fast[panel], scene.slow[panel]
    f, s = scene.pixel_sides[panel]
    return f * scene.fast[panel], s * scene.slow[panel]


def pixel_m(scene: Scene, panel: int) -> tuple[float, float]:
    """Sides of a panel's pixels along fast and slow [m]."""
    f, s = (1.0, 1.0) if scene.pixel_sides is None else scene.pixel_sides[panel]
    return scene.pixel_size * float(f), scene.pixel_size * float(s)


def pixel_coordinates(scene: Scene, panel: int, offset: Array) -> tuple[Array, Array]:
    """Fast and slow pixels [n] of places of a panel, given from its corner [n, 3] in metres.

    The axes need not be at right angles: files of refined geometries have panels that are not.
    """
    (along_fast, along_slow), step = pixel_axes(scene, panel), scene.pixel_size
    f, s = offset @ along_fast / step, offset @ along_slow / step
    ff, ss, fs = along_fast @ along_fast, along_slow @ along_slow, along_fast @ along_slow
    area = ff * ss - fs * fs
    return (ss * f - fs * s) / area, (ff * s - fs * f) / area


def area_distance(scene: Scene, panel: int) -> float:
    """Distance of a panel's plane [m], times its pixels' area over that of ``pixel_size``.

    A pixel at a distance R has the solid angle pixel_size²·(this)/R³.
    """
    close = float(scene.close_distance[panel])
    return close if scene.pixel_sides is None else close * float(scene.pixel_sides[panel].prod())

"""The CUDA backend: tiles in bands of rows, copied to the host while the next band is rendered."""

from contextlib import suppress
from dataclasses import dataclass
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.one_shot import alone
from tiledsim.errors import BackendError
from tiledsim.kernels.cpu.raster_order import render_in_raster_order, uniform_interpolation
from tiledsim.kernels.cuda.bands import BAND_BYTES, BandSize, bands_bytes
from tiledsim.kernels.cuda.device import LANES, Buffer, CupyDevice, Device, DeviceError
from tiledsim.kernels.cuda.params import (
    FINISH_LAYOUT,
    pack,
    pack_finish,
    parameter_layout,
    patch_grid,
    refuse_what_is_too_large,
    table_bytes,
)
from tiledsim.kernels.cuda.scene_on_device import KEPT_SHOTS, ScenesOnDevice
from tiledsim.kernels.cuda.source import (
    THREADS,
    Specialisation,
    finish_source,
    render_source,
    specialise,
)
from tiledsim.kernels.devices import float64_is_slow
from tiledsim.kernels.rendered import OnHost, Pending, Rendered
from tiledsim.pixel_statistics import ROW
from tiledsim.scene import Scene
from tiledsim.tile import Tile


class LostDeviceError(BackendError):
    """A CUDA error after which this process cannot use its device; only a new process can."""

    ends_the_process = True
    """Tells a worker not to go on."""


def device_bytes(scene: Scene, tile: Tile, dtype: str) -> int:
    """Device memory that rendering tiles of this size takes at most, besides the CUDA context.

    Tables of scenes rendered before stay, some of them, until the memory is needed.
    """
    special = specialise(scene, dtype, interpolate=scene.interpolate)
    shots = min(KEPT_SHOTS, scene.shape[0])
    tables = table_bytes(scene, special) + (shots - 1) * 72 * scene.orientations
    return tables + bands_bytes(scene, tile)


@dataclass
class _Lane:
    """Buffers of one of the device's lanes."""

    image: Buffer
    mask: Buffer
    stored: Buffer
    reduced: Buffer


@dataclass(frozen=True)
class _Work:
    """A tile that was started: the arrays it arrives in, and the marks it ends with."""

    pixels: NDArray[np.float32] | NDArray[np.float64]
    rows: NDArray[np.void] | None
    first: object
    last: tuple[object, ...]
    kept: tuple[NDArray[np.uint8], ...]
    """Masks that are read by copies on their way."""
    special: Specialisation
    steps: int
    """Evaluations of the whole tile."""


class _OnDevice:
    """A tile that is being rendered on the device."""

    def __init__(self, backend: "CudaBackend", where: str, work: _Work) -> None:
        self._backend = backend
        self._where = where
        self._work = work

    def result(self) -> Rendered:
        """Wait for the tile."""
        work = self._work
        seconds = self._backend.finished(work, self._where)
        assert work.rows is not None
        return Rendered(work.pixels, work.rows, seconds)


class CudaBackend:
    """Renders tiles on one GPU.

    ``dtype`` is ``float64`` or ``mixed``; ``device`` is the GPU that CuPy uses here, or another
    object with the same methods.  A band's pixels take ``band_bytes`` of device memory at most, and
    about BAND_SECONDS once the kernel was timed; less where memory is short, for as long as it is.
    ``anchored`` says whether ``mixed`` is to do without float64 in a step: by default where the GPU
    has few units for it.
    Raises BackendError, or LostDeviceError where the process has to end, for whatever goes wrong
    on the device.
    """

    name = "cuda"
    ahead = 1

    def __init__(
        self, dtype: str = "float64", device: Device | None = None, *,
        band_bytes: int = BAND_BYTES, anchored: bool | None = None,
    ) -> None:  # fmt: skip
        self.dtype = dtype
        try:
            self._device: Device = device or CupyDevice()
        except DeviceError as error:
            raise BackendError(f"the GPU cannot be used: {error}") from error
        self._kernels: dict[Specialisation | None, object] = {}
        self._scenes = ScenesOnDevice(self._device)
        self._lanes: list[_Lane] = []
        self._lane_pixels = self._lane_rows = 0
        self._turn = 0
        self._bands = BandSize(band_bytes)
        self._ended: object = None
        self._last: Specialisation | None = None
        self._lock = RLock()
        try:
            if anchored is None:
                capability = self._device.describe().get("compute capability", "")
                anchored = float64_is_slow(capability)
            self._anchored = anchored
            self._kernel(None)  # a compiler that is missing, or too new for the card, shows here
        except DeviceError as error:
            raise self._failure(error, "the GPU cannot be used") from error

    def render(self, scene: Scene, tile: Tile) -> NDArray[np.float64]:
        """Render a tile [rows, cols] in photons; pixels that are not rendered are 0."""
        return render_in_raster_order(*alone(scene, tile), self._render)

    def render_bounded(self, scene: Scene, tile: Tile) -> tuple[NDArray[np.float64], float]:
        """Render a tile; every step is evaluated, so nothing is missing."""
        return self.render(scene, tile), 0.0

    def start(self, scene: Scene, tile: Tile) -> Pending:
        """Start rendering a tile that is to be stored; the next one may be started before its
        result is fetched, and is rendered meanwhile.
        """
        scene, tile = alone(scene, tile)
        interpolate = uniform_interpolation(scene, tile)
        if interpolate is None:
            return OnHost(self, scene, tile)
        special, work = self._begin(scene, tile, interpolate, stored=True)
        return _OnDevice(self, _describe_launch(special, tile), work)

    def finished(self, work: _Work, where: str) -> float:
        """Wait for a tile and return the seconds that it took after the one before it."""
        try:
            self._device.wait(*work.last)
            with self._lock:
                spans = [self._device.seconds(work.first, mark) for mark in work.last]
                # With those of other lanes beside it: no less than it would take by itself.
                self._bands.learn(work.special, work.steps, max(spans))
                if self._ended is not None:
                    since = [self._device.seconds(self._ended, mark) for mark in work.last]
                    spans = [min(pair) for pair in zip(spans, since, strict=True)]
                seconds = max(0.0, *spans)
                if seconds > 0.0:  # else a tile that was started later has ended before
                    self._ended = work.last[int(np.argmax(spans))]
                return seconds
        except DeviceError as error:
            raise self._failure(error, where) from error

    def release(self) -> None:
        """Give all memory of the device back; tiles that were started are waited for."""
        with self._lock, suppress(DeviceError):
            self._device.wait()
            self._forget_lanes()
            self._scenes.clear()
            self._bands.reset()
            self._device.release()

    def describe(self) -> dict[str, str]:
        """Return device, driver and CuPy, and the specialisation that rendered last."""
        try:
            about = self._device.describe()
        except DeviceError as error:
            raise self._failure(error, "the device does not answer") from error
        return about | ({"kernel": str(self._last)} if self._last else {})

    def _render(self, scene: Scene, tile: Tile, interpolate: bool) -> NDArray[np.float64]:
        special, work = self._begin(scene, tile, interpolate, stored=False)
        self.finished(work, _describe_launch(special, tile))
        return work.pixels.astype(np.float64, copy=False)

    def _begin(
        self, scene: Scene, tile: Tile, interpolate: bool, *, stored: bool
    ) -> tuple[Specialisation, _Work]:
        special = specialise(scene, self.dtype, interpolate=interpolate, anchored=self._anchored)
        with self._lock:
            self._last = special
            self._widen_bands(tile)
            while True:
                try:
                    return special, self._start_bands(scene, tile, special, stored=stored)
                except DeviceError as error:
                    with suppress(DeviceError):  # copies into what is given up may be on their way
                        self._device.wait()
                    if not error.memory or not self._make_room(scene, special, tile):
                        raise self._failure(error, _describe_launch(special, tile)) from error

    def _kernel(self, special: Specialisation | None) -> object:
        """Build a kernel: a specialisation of ``render``, or ``finish`` for None."""
        if special not in self._kernels:
            if special is None:
                built = self._device.build(finish_source(FINISH_LAYOUT), "finish")
            else:
                text = render_source(special, parameter_layout(special.mixed))
                built = self._device.build(text, "render")
            self._kernels[special] = built
        return self._kernels[special]

    def _start_bands(
        self, scene: Scene, tile: Tile, special: Specialisation, *, stored: bool
    ) -> _Work:
        refuse_what_is_too_large(scene, special, tile.shot)
        device, kernel = self._device, self._kernel(special)
        finish = self._kernel(None) if stored else None
        tables = self._scenes.of(scene, special)
        bands = self._bands.split(scene, tile, special)
        self._reserve(max(band.rows for band in bands), tile.cols)
        addresses = tables.addresses(scene, tile.shot)
        rendered = scene.rendered_mask(tile)
        shape = tile.rows, tile.cols
        pixels: NDArray[np.float32] | NDArray[np.float64]
        pixels = (
            device.host_array(shape, np.float32) if stored else device.host_array(shape, np.float64)
        )
        rows = device.host_array((tile.rows,), ROW) if stored else None
        kept, used, first = [], set(), device.mark(self._turn)
        for band in bands:
            number = self._turn
            used.add(number)
            lane = self._lanes[number]
            here = slice(band.slow_start - tile.slow_start, band.slow_stop - tile.slow_start)
            addresses |= {"image": lane.image.address, "rendered": 0}
            if rendered is not None:
                mask = device.host_array((band.rows, band.cols), np.uint8)
                mask[...] = rendered[here]
                device.send(mask, lane.mask, number)
                kept.append(mask)
                addresses["rendered"] = lane.mask.address
            for part in self._bands.parts(scene, band, special):
                parameters = pack(scene, special, band, part, addresses, tables.units)
                device.launch(kernel, _blocks(special, band), THREADS, parameters, number)
            if rows is None:
                device.download(lane.image, pixels[here], number)
            else:
                parameters = pack_finish(
                    band,
                    {"image": lane.image.address, "stored": lane.stored.address,
                     "reduced": lane.reduced.address},
                    scene.roi,
                )  # fmt: skip
                device.launch(finish, -(-band.rows // (THREADS // 32)), THREADS, parameters, number)
                device.download(lane.stored, pixels[here], number)
                device.download(lane.reduced, rows[here], number)
            self._turn = (number + 1) % LANES
        last = {lane: device.mark(lane) for lane in sorted(used)}
        tables.used(tile.shot, last)
        steps_of_tile = scene.count_rendered(tile) * scene.steps_per_pixel
        return _Work(pixels, rows, first, tuple(last.values()), tuple(kept), special, steps_of_tile)

    def _reserve(self, rows: int, cols: int) -> None:
        """Have buffers of that size in all lanes."""
        if self._lanes and rows * cols <= self._lane_pixels and rows <= self._lane_rows:
            return
        self._device.wait()
        self._forget_lanes()
        take, pixels = self._device.allocate, rows * cols
        lanes = [
            _Lane(take(8 * pixels), take(pixels), take(4 * pixels), take(ROW.itemsize * rows))
            for _ in range(LANES)
        ]
        self._lanes, self._lane_pixels, self._lane_rows = lanes, pixels, rows  # all, or none

    def _forget_lanes(self) -> None:
        self._lanes = []
        self._lane_pixels = self._lane_rows = 0

    def _widen_bands(self, tile: Tile) -> None:
        """Take bands of the usual size again once the memory for them is there."""
        wanted = self._bands.wanted_bytes(tile)
        if wanted:
            with suppress(DeviceError):
                if self._device.free_bytes() >= wanted:
                    self._bands.reset()

    def _make_room(self, scene: Scene, special: Specialisation, tile: Tile) -> bool:
        """Give back what can be done without, the largest first; False if nothing is left.

        No tile may be on its way.
        """
        if not self._scenes.keep_only(scene, special) and not self._bands.halve(scene, tile):
            return False
        self._forget_lanes()
        self._device.release()
        return True

    def _failure(self, error: DeviceError, where: str) -> BackendError:
        if error.lost:
            return LostDeviceError(f"{where}: {error}; this process cannot use its GPU any more")
        if error.memory:
            return BackendError(
                f"{where}: too little device memory even for the smallest band ({error}); use a "
                "GPU with more memory, or --backend cpu"
            )
        return BackendError(f"{where}: {error}")


def _blocks(special: Specialisation, band: Tile) -> int:
    return -(-patch_grid(band, special.pixels).patches // (THREADS // 32))


def _describe_launch(special: Specialisation, tile: Tile) -> str:
    return (
        f"CUDA kernel 'render' ({special}), tile {tile}, "
        f"grid of up to {_blocks(special, tile)} x {THREADS} threads"
    )

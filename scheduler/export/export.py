"""Export images of a run: from the store to files that other programs open."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.model import CountModel
from tiledsim.errors import ExperimentError, RunError, StoreError
from tiledsim.experiment import Experiment, Noise
from tiledsim.image_files.nxmx.master import MaskRows
from tiledsim.scene.detector.noise import build_noise
from tiledsim.scheduler.cluster.choose import Place, choose_place
from tiledsim.scheduler.cluster.local import wait_for_workers
from tiledsim.scheduler.export.assemble import Assembly, OutputFile
from tiledsim.scheduler.export.bands import band_rows, frame_bands, select
from tiledsim.scheduler.export.conversion import Conversion
from tiledsim.scheduler.export.files import check_target, conversion_to, plan_files
from tiledsim.scheduler.export.formats import choose_format
from tiledsim.scheduler.export.instrument import read_instrument
from tiledsim.scheduler.export.mask import pixel_mask
from tiledsim.scheduler.export.pixels import Band, Encoded, Source, encode_band
from tiledsim.scheduler.export.stream import in_order
from tiledsim.scheduler.export.truth import write_truth
from tiledsim.scheduler.export.work_folder import WorkFolder
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.options import Where
from tiledsim.scheduler.session.task import scene_of
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files, open_files
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.open import layout_of
from tiledsim.tile import Tile

INLINE_BYTES = 64 * 2**20
"""Pixels up to this are converted here; more by workers, which take half a second to start."""
AHEAD = 2
"""Bands for each thread that are under way or wait to be written."""

Progress = Callable[[int, int], None]
"""Told the bands that are written, and how many there are."""


def export(
    location: str | Path, output: str | Path, *, to: str | None = None, shots: str | None = None,
    panels: str | None = None, dtype: str | None = None, truth: bool = False,
    with_noise: int | None = None, partial: bool = False, clip: bool = False,
    overwrite: bool = False, resume: bool = False,
    progress: Progress | None = None, where: Where | None = None, client: Any = None,
) -> list[Path]:  # fmt: skip
    """Write images of a run as files of another format and return their names, the main one last.

    Parameters
    ----------
    location : str or Path
        The store.
    output : str or Path
        Name of the file; of many shots a stack (nxmx, npy, raw), or numbered files.
    to : str, optional
        nxmx, cbf, smv, tiff, npy or raw; without it the ending of ``output`` decides.
    shots, panels : str, optional
        Which: ``5``, ``0:100``, ``0:100:10`` or several with commas; all without it.
    dtype : str, optional
        int32, uint16 or float32.  Photons that are expected stay float32 where the format can hold
        them; else they are rounded.
    truth : bool
        Beside them, NAME.expt and NAME.refl: geometry, the true crystals and the true reflections,
        as DIALS reads them.
    with_noise : int, optional
        Count stored photons, with Poisson's noise alone, by this seed: the values that
        :func:`tiledsim.scheduler.add_noise` would store.
    partial : bool
        Export an unfinished run, what is missing marked as not measured.
    clip : bool
        Bring values that do not fit the type to its ends.
    overwrite, resume : bool
        Replace files that exist; go on with an export that was cut short.
    progress : callable, optional
        Told how far it is.
    where, client : optional
        Where the work is done, as for :func:`tiledsim.scheduler.run`.

    Raises
    ------
    ExperimentError, StoreError
        For what cannot be written so; nothing stands under a final name then.
    RunError
        Where the disk was full or the workers were lost; ``resume`` goes on.
    """
    files = open_files(location)
    about = store.read_attributes(files)
    layout = layout_of(files)
    target = Path(output)
    format = choose_format(to, target)
    chosen = select(shots, layout.shape[0], "shots"), select(panels, layout.shape[1], "panels")
    done = _stored_tiles(files, layout, chosen, partial=partial)
    scene = scene_of(files.url, str(about["scene_hash"]))
    instrument = read_instrument(files, str(about.get("title", "")), scene, chosen[0])
    counts = _counts_of(files, about, layout, with_noise)
    assembly = plan_files(target, format, instrument, layout, chosen, dtype, counts)
    rows = band_rows(layout, assembly.row_multiple)
    bands_per_shot = len(chosen[1]) * -(-layout.shape[2] // rows)
    assembly = replace(assembly, bands_per_shot=bands_per_shot)
    check_target(assembly, truth=truth, overwrite=overwrite)
    names = assembly.names
    source = Source(
        files.url, str(about["scene_hash"]), conversion_to(assembly, counts, clip=clip),
        assembly.encoder, masks=format.name in ("nxmx", "cbf"), shape=layout.shape,
        noise=None if with_noise is None else counts,
    )  # fmt: skip
    place = choose_place(where or Where(), client)
    folder = WorkFolder(assembly.output)
    identity: dict[str, object] = {
        "store": files.url, "scene": source.scene_hash, "names": names, "dtype": assembly.dtype,
        "shots": assembly.shots, "panels": assembly.panels, "clip": clip, "noise": with_noise,
        "tiles": int(np.count_nonzero(done)),
    }  # fmt: skip
    finished = folder.begin(identity, resume=resume)
    todo = [file for file in assembly.files if file.name not in finished]
    counted = Counted(
        bands_per_shot * sum(file.shots for file in todo), source.conversion, progress
    )
    try:
        bands = _bands_of(todo, assembly, layout, rows, done)
        with (
            _workers(place, assembly.nbytes, folder.target) as (client, threads),
            closing(
                in_order(client, encode_band, source, bands, max(2, AHEAD * threads))
            ) as encoded,
        ):
            payloads = counted.through(encoded)
            for file in todo:
                assembly.write(file, folder.partial(file.name), payloads)
                folder.finish(file.name)
        counted.check()
        if assembly.master is not None:
            assembly.write_master(folder.partial(assembly.master), _mask_of(source, assembly))
            folder.finish(assembly.master)
        if truth:
            names = _add_truth(names, folder, assembly, source)
        folder.publish(names)
    except ExperimentError:
        folder.remove()
        raise
    except (RunError, OSError) as error:
        folder.drop_partial()
        what = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RunError(
            f"{assembly.output}: {what}; `resume` goes on with the files that are finished"
        ) from None
    return [folder.target / name for name in names]


class Counted:
    """Takes payloads out of what workers send, and counts values that do not fit."""

    def __init__(self, bands: int, conversion: Conversion, progress: Progress | None) -> None:
        self._bands = bands
        self._conversion = conversion
        self._progress = progress
        self.outside = 0
        self.worst = 0.0

    def through(self, encoded: Iterator[Encoded]) -> Iterator[Any]:
        """Yield the payloads."""
        for number, band in enumerate(encoded, start=1):
            self.outside += band.outside
            if abs(band.worst) > abs(self.worst):
                self.worst = band.worst
            if self._progress is not None:
                self._progress(number, self._bands)
            yield band.payload

    def check(self) -> None:
        """Raise ExperimentError for values that do not fit and are not to be clipped."""
        if self.outside and not self._conversion.clip:
            low, high = self._conversion.lowest, self._conversion.highest
            raise ExperimentError(
                f"{self.outside:,} pixels do not fit: the value furthest out is {self.worst:,.0f}, "
                f"{np.dtype(self._conversion.dtype).name} holds {low:,.0f} to {high:,.0f} here; "
                "give `clip`, or another type"
            )


def _bands_of(
    todo: list[OutputFile], assembly: Assembly, layout: Layout, rows: int, done: NDArray[np.bool_]
) -> Iterator[Band]:
    """Yield the bands of files, in the order in which they are written."""
    for file in todo:
        for shot in assembly.shots[file.first : file.first + file.shots]:
            yield from frame_bands(layout, shot, assembly.panels, rows, done)


def _stored_tiles(
    files: Files, layout: Layout, chosen: tuple[list[int], list[int]], *, partial: bool
) -> NDArray[np.bool_]:
    """Return which tiles are stored [tiles]; StoreError where one of the chosen is not."""
    done = read_records(files, layout).done
    wanted = done.reshape(layout.grid)[np.ix_(*chosen)]
    missing = int(wanted.size - np.count_nonzero(wanted))
    if missing and not partial:
        shot, panel, j, i = (int(n) for n in np.argwhere(~wanted)[0])
        grid = (chosen[0][shot], chosen[1][panel], j, i)
        first = layout.tile_at(int(np.ravel_multi_index(grid, layout.grid)))
        raise StoreError(
            f"{files.url}: {missing:,} of {wanted.size:,} tiles are missing, the first at {first}; "
            "tiledsim run --resume renders them, `partial` exports them as not measured"
        )
    return done


def _counts_of(
    files: Files, about: dict[str, Any], layout: Layout, seed: int | None
) -> CountModel | None:
    """Return how the exported values were or are to be counted; None for photons.

    Raises StoreError for counts that are to be counted again, ExperimentError for a wrong seed.
    """
    counted = layout.dtype != "float32"
    if seed is None:
        model: CountModel | None = scene_of(files.url, str(about["scene_hash"])).noise
        return model if counted else None
    if counted:
        raise StoreError(
            f"{files.url} holds counts ({layout.dtype}), not photons; leave out `with_noise`"
        )
    if not 0 <= seed < 2**32:
        raise ExperimentError(f"`with_noise={seed}`: must be a whole number from 0 to {2**32 - 1}")
    try:
        detector = Experiment.from_toml(str(about["experiment"]), Path()).detector
    except (KeyError, ExperimentError) as error:
        raise StoreError(f"{files.url}: its attributes are damaged: {error}") from None
    return build_noise(Noise(seed=seed), detector).model


def _add_truth(
    names: list[str], folder: WorkFolder, assembly: Assembly, source: Source
) -> list[str]:
    """Write what is true of the images, and return all names, the main one last."""
    images = names[-1:] if assembly.format.stack else names
    expt, refl = assembly.truth
    write_truth(
        folder.partial(expt), folder.partial(refl), assembly.instrument,
        scene_of(source.location, source.scene_hash), [folder.target / name for name in images],
        assembly.saturation, assembly.shots,
    )  # fmt: skip
    for name in assembly.truth:
        folder.finish(name)
    return [*names[:-1], *assembly.truth, names[-1]]


def _mask_of(source: Source, assembly: Assembly) -> MaskRows:
    """Return the mask of the exported panels, by rows."""
    scene = scene_of(source.location, source.scene_hash)

    def rows(panel: int, start: int, stop: int) -> NDArray[np.uint32] | None:
        return pixel_mask(scene, Tile(0, assembly.panels[panel], start, stop, 0, scene.shape[3]))

    return rows


@contextmanager
def _workers(place: Place, nbytes: int, keys_folder: Path) -> Iterator[tuple[Any, int]]:
    """Give a Dask client and the number of its threads; no client where there is little to do."""
    if nbytes <= INLINE_BYTES and place.kind == "local":
        yield None, 1
        return
    with place.connect(keys_folder) as connected:
        _, threads = wait_for_workers(connected.client)
        yield connected.client, threads

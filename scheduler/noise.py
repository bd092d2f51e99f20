"""Counts of images that are stored as photons: a run whose tiles are read and not rendered."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim.errors import ExperimentError, StoreError
from tiledsim.experiment import Experiment, Noise
from tiledsim.quirks import Mode
from tiledsim.scene.detector.noise import build_noise
from tiledsim.scheduler.launch import run
from tiledsim.scheduler.options import RunOptions
from tiledsim.scheduler.results.summary import Summary
from tiledsim.scheduler.session.events import Callback
from tiledsim.scheduler.session.opening.photons import photons_of
from tiledsim.scheduler.session.task import scene_anew
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import open_files


def add_noise(
    source: str | Path, location: str | Path, noise: Noise | None = None, *,
    seed: int | None = None, mode: Mode | None = None, options: RunOptions | None = None,
    partial: bool = False, callbacks: Iterable[Callback] = (), command: str = "",
) -> Summary:  # fmt: skip
    """Count the photons of a store into another store.

    Parameters
    ----------
    source
        A store of photons.
    location
        The store of counts; the same as rendering with that noise would have made.
    noise
        What to add; by default the noise section of the experiment, else plain counting.
    seed
        Instead of that of ``noise``.
    mode
        Whose deviates: ``spec`` (Philox) or ``c-parity`` (nanoBragg's and noisify's generator, with
        which each worker process draws a whole shot); by default that of ``noise``, else that of
        the store.
    options
        Those of a run: workers, tile, overwrite, resume …
    partial
        Whether an unfinished store may be counted: what is missing becomes a gap.
    callbacks, command
        As those of :func:`tiledsim.scheduler.run`.

    Returns
    -------
    Summary
        Statistics of the counts, and how the run went.

    Raises
    ------
    StoreError
        For a source that is none, is not finished, or holds counts already.
    ExperimentError
        For noise that does not go with the detector.
    """
    files = open_files(source)
    if open_files(location).url == files.url:
        raise StoreError(f"{files.url}: counts cannot be written over the photons they are made of")
    about = store.read_attributes(files)
    photons_of.cache_clear()  # it may have grown since it was opened here
    photons = photons_of(files.url)
    missing = np.flatnonzero(~photons.done)
    if missing.size and not partial:
        first = photons.layout.tile_at(int(missing[0]))
        raise StoreError(
            f"{files.url}: {missing.size:,} of {photons.done.size:,} tiles are missing, the first "
            f"{first}; a run with `resume` renders them; partial (--partial) makes gaps of them"
        )
    try:
        experiment = Experiment.from_toml(str(about["experiment"]), Path())
        scene = scene_anew(files.url, str(about["scene_hash"]))
    except (KeyError, ExperimentError) as error:
        raise StoreError(f"{files.url}: its attributes are damaged: {error}") from None
    noise = noise or experiment.noise or Noise()
    if seed is not None:
        if not 0 <= seed < 2**32:
            raise ExperimentError(f"seed {seed}: must be a whole number from 0 to {2**32 - 1}")
        noise = noise.model_copy(update={"seed": seed})
    mode = mode or noise.mode or experiment.mode
    if mode == "c-parity" and missing.size:
        raise StoreError(
            f"{files.url}: noise of the mode c-parity is drawn through whole images, and "
            f"{missing.size:,} tiles are missing; mode `spec` makes gaps of them"
        )
    noise = noise.model_copy(update={"mode": mode})
    experiment = experiment.replace(noise=noise)
    parts = build_noise(experiment.noise, experiment.detector)
    scene = replace(scene, noise=parts.model, pixel_state=parts.state, spread=parts.spread)
    given: dict[str, Any] = {} if options else {"backend": "cpu"}
    return run(
        experiment, location, replace(options, backend="cpu") if options else None, scene=scene,
        photons=files.url, callbacks=callbacks, command=command, **given,
    )  # fmt: skip

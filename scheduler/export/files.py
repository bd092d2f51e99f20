"""Which files an export makes, and whether they can be made: known before any pixel is."""

import shutil
from pathlib import Path

from tiledsim.detector_model.model import CountModel
from tiledsim.errors import StoreError
from tiledsim.experiment import Experiment
from tiledsim.image_files.instrument import Instrument
from tiledsim.scene import Scene
from tiledsim.scheduler.export.assemble import Assembly
from tiledsim.scheduler.export.conversion import NONE, Conversion
from tiledsim.scheduler.export.formats import (
    Format,
    check_geometry,
    choose_dtype,
    choose_format,
    invalid_of,
    limits_of,
    saturation_of,
)
from tiledsim.scheduler.export.instrument import instrument_of
from tiledsim.scheduler.session.plan import human_bytes
from tiledsim.scheduler.store.layout import Layout


def plan_files(
    target: Path, format: Format, instrument: Instrument, layout: Layout,
    chosen: tuple[list[int], list[int]], dtype: str | None, counts: CountModel | None,
) -> Assembly:  # fmt: skip
    """Return the files of an export of the ``chosen`` shots and panels.

    ``instrument`` is that of the whole run, ``counts`` how its values are counted.  Raises
    ExperimentError for what the format has no form for.
    """
    selected = instrument.select(*chosen)
    check_geometry(format, selected)
    kind = choose_dtype(format, dtype, counted=counts is not None)
    assembly = Assembly(
        format, _named(target, format), selected, tuple(chosen[0]), tuple(chosen[1]),
        layout.shape[0], kind, saturation_of(kind, counts),
    )  # fmt: skip
    assembly.check()
    return assembly


def check_at_the_end(
    output: Path, experiment: Experiment, scene: Scene, layout: Layout, *, overwrite: bool
) -> None:
    """Check, before a run, what it is to export at its end.

    Raises ExperimentError or StoreError as the export itself would.
    """
    chosen = list(range(layout.shape[0])), list(range(layout.shape[1]))
    instrument = instrument_of(experiment, scene)
    format = choose_format(None, output)
    assembly = plan_files(output, format, instrument, layout, chosen, None, scene.noise)
    check_target(assembly, truth=False, overwrite=overwrite)


def conversion_to(assembly: Assembly, counts: CountModel | None, *, clip: bool) -> Conversion:
    """Return how values become those of the files."""
    lowest, highest = limits_of(assembly.dtype)
    top = gap = NONE
    if counts is not None:
        top = float(counts.top)
        if not 0 <= counts.gap <= counts.top:  # else it may be a measurement, or a saturated one
            gap = float(counts.gap)
    invalid = invalid_of(assembly.format, assembly.dtype)
    return Conversion(assembly.dtype, lowest, highest, invalid, clip, top, gap)


def check_target(assembly: Assembly, *, truth: bool, overwrite: bool) -> None:
    """Raise StoreError where files exist, or have no room."""
    folder = assembly.output.parent
    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder; make it, or write elsewhere")
    for name in assembly.names + assembly.truth * truth:
        path = folder / name
        if path.is_dir():
            raise StoreError(f"{path} is a folder; give the name of a file")
        if path.exists() and not overwrite:
            raise StoreError(f"{path} exists; `overwrite` it, or give another name")
    free = shutil.disk_usage(folder).free
    if assembly.least_bytes > free:
        raise StoreError(
            f"{assembly.output}: {human_bytes(assembly.least_bytes)} or more are to be written and "
            f"{human_bytes(free)} are free on that disk; free some or write elsewhere"
        )


def _named(output: Path, format: Format) -> Path:
    """Give a name without an ending that of its format."""
    if output.suffix:
        return output
    return output.with_name(
        f"{output.name}{'_master' * (format.name == 'nxmx')}{format.endings[0]}"
    )

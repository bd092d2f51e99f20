"""How a store that is there is cut, checked against its own image before anything relies on it."""

from collections.abc import Mapping

from tiledsim.detector_model.model import COUNT_DTYPES
from tiledsim.errors import StoreError
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.layout import Layout

EXTENDING = "extending_to_shots"
"""The attribute of a store that is being given more shots: how many.  Parts of it may have them
already."""


def refuse_extending(files: Files, about: Mapping[str, object]) -> None:
    """Raise StoreError for a store whose parts have different numbers of shots at this moment."""
    if EXTENDING in about:
        raise StoreError(
            f"{files.url} is being extended to {str(about[EXTENDING])[:20]} shots; a run with "
            "`resume` goes on with it"
        )


def layout_of(files: Files, *, extending: bool = False) -> Layout:
    """Return how a store is cut; ``extending`` allows one that is being given more shots.

    Raises StoreError where its attributes are damaged or contradict the image.
    """
    try:
        about = store.read_attributes(files)
        if not extending:
            refuse_extending(files, about)
        cut, extended = about["layout"], about.get(EXTENDING)
        dtype = str(cut.get("dtype", "float32"))
        sizes = {key: tuple(value) for key, value in cut.items() if key != "dtype"}
        layout = Layout(**sizes, dtype=dtype)
        lengths = [len(value) for value in sizes.values()]
        numbers = [number for value in sizes.values() for number in value]
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{files.url}: its attributes are damaged: {error!r}") from None
    whole = all(type(number) is int and number > 0 for number in numbers)
    known = dtype in ("float32", *COUNT_DTYPES)
    if sorted(lengths) != [2, 2, 2, 4] or not whole or not known or not _is_nested(layout):
        raise StoreError(
            f"{files.url}: its attributes are damaged: {str(cut)[:200]} is no layout of tiles"
        )
    store.open_image(files, layout, extended)
    return layout


def _is_nested(layout: Layout) -> bool:
    """Whether tiles are made of whole shards and shards of whole chunks."""
    sizes = zip(layout.chunk, layout.shard, layout.tile, strict=True)
    return all(shard % chunk == 0 and tile % shard == 0 for chunk, shard, tile in sizes)

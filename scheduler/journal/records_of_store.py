"""The records of a store, held against the layout that they speak of."""

import numpy as np

from tiledsim.errors import StoreError
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.layout import Layout


def read_records(files: Files, layout: Layout) -> Records:
    """Return the records of a store by tile number.

    Raises StoreError for a damaged journal, and for records that contradict the layout.
    """
    records = Records(Journal(files), layout.tiles)
    for rows in records.portions():
        place = layout.places(rows["index"])
        slow, fast = rows["maximum_slow"], rows["maximum_fast"]
        pixels = (place["slow_stop"] - place["slow_start"]) * (
            place["fast_stop"] - place["fast_start"]
        )
        sound = (place["slow_start"] <= slow) & (slow < place["slow_stop"])
        sound &= (place["fast_start"] <= fast) & (fast < place["fast_stop"])
        sound &= (rows["rendered"] <= rows["inside"]) & (rows["inside"] <= pixels)
        if not sound.all():
            tile = layout.tile_at(int(rows["index"][np.flatnonzero(~sound)[0]]))
            raise StoreError(
                f"{files.url}: the record of {tile} contradicts its place or size; the journal "
                "does not belong to this store"
            )
    return records

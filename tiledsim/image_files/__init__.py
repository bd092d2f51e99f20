"""Image files of other programs; they know no Zarr."""

"""Tiles on Dask workers, written to Zarr and gathered into a summary."""

if __name__ == "scheduler":
    raise ImportError("import tiledsim.scheduler, not scheduler")

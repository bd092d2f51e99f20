"""The Zarr store, on folders and object stores."""

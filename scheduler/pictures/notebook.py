"""Opening a store as labelled arrays, and what a notebook shows of them."""

import base64
import importlib.util
from pathlib import Path

import xarray

from tiledsim.errors import TiledsimError
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import open_files
from tiledsim.scheduler.store.open import refuse_extending


class Images(xarray.Dataset):  # type: ignore[no-untyped-call]
    """The dataset of a store, which a notebook shows with a picture of its first shot.

    What is selected or computed from it is shown without one.
    """

    __slots__ = ("_location",)

    @classmethod
    def of(cls, dataset: xarray.Dataset, location: str) -> "Images":
        """Make one of the dataset of a store."""
        made = cls(dataset.data_vars, dataset.coords, dataset.attrs)
        made.encoding = dataset.encoding
        object.__setattr__(made, "_location", location)
        return made

    def _repr_png_(self) -> bytes | None:
        location = getattr(self, "_location", None)
        if location is None or importlib.util.find_spec("PIL") is None:
            return None
        from tiledsim.scheduler.pictures.picture import Look, picture_png

        try:
            return picture_png(location, Look(edge=700), partial=True)
        except TiledsimError:  # of an earlier tiledsim, or being replaced: its numbers still show
            return None

    def _repr_html_(self) -> str:
        table: str = super()._repr_html_()
        picture = self._repr_png_()
        if picture is None:
            return table
        data = base64.b64encode(picture).decode()
        return f'<img alt="first shot" src="data:image/png;base64,{data}"/>{table}'


def open(location: str | Path) -> Images:
    """Open a store as an ``xarray.Dataset`` with dimensions, coordinates and units.

    Parameters
    ----------
    location
        A folder, or a URL such as ``s3://bucket/run.zarr``.

    Returns
    -------
    xarray.Dataset
        Pixels are read when they are asked for.  Columns of a campaign are coordinates along
        ``shot``.  A notebook shows it with a picture of its first shot.

    Raises
    ------
    StoreError
        For a location that holds no store of tiledsim, or one that is just being given more shots.
    """
    files = open_files(location)
    refuse_extending(files, store.read_attributes(files))
    dataset = xarray.open_zarr(files.zarr(), consolidated=False)
    if "shots" in files.names(""):
        columns = xarray.open_zarr(files.zarr(), group="shots", consolidated=False)
        dataset = dataset.assign_coords(columns.data_vars)
    return Images.of(dataset, files.url)

"""The files of an export, and how each is put together from encoded bands."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.image_files.cbf.image import write_cbf
from tiledsim.image_files.instrument import Instrument
from tiledsim.image_files.nxmx.data import EDGE, DataFile, Plane
from tiledsim.image_files.nxmx.master import Limits, MaskRows, write_master
from tiledsim.image_files.plain_arrays import write_npy, write_raw
from tiledsim.image_files.series import numbered
from tiledsim.image_files.smv.writer import write_smv
from tiledsim.image_files.tiff import EDGE as TIFF_EDGE
from tiledsim.image_files.tiff import write_tiff
from tiledsim.scheduler.export.formats import Format, as_byte_offset, as_bytes, as_rows
from tiledsim.scheduler.export.pixels import Encoder

FRAMES_PER_FILE = 100
"""Of a data file of NXmx."""


@dataclass(frozen=True)
class OutputFile:
    """One file and what goes into it."""

    name: str
    first: int
    """Place of its first shot among those that are exported."""
    shots: int


@dataclass(frozen=True)
class Assembly:
    """How the files of one export are made."""

    format: Format
    output: Path
    instrument: Instrument
    """Of the shots and panels that are exported."""
    shots: tuple[int, ...]
    panels: tuple[int, ...]
    """Their numbers in the store."""
    all_shots: int
    """Of the store."""
    dtype: str
    saturation: float
    """The largest value that is a measurement."""
    bands_per_shot: int = 1

    @property
    def plane(self) -> Plane:
        """How a shot is stored in NXmx."""
        fast, slow = self.instrument.panels[0].size_px
        return Plane(len(self.instrument.panels), slow, fast, self.dtype)

    @property
    def row_multiple(self) -> int:
        """What the rows of a band must be a multiple of."""
        if self.format.name == "tiff":
            return TIFF_EDGE
        return 1 if self.format.name != "nxmx" or self.plane.whole else EDGE

    @property
    def encoder(self) -> Encoder:
        """What workers do with rows."""
        match self.format.name:
            case "nxmx":
                return self.plane.encode
            case "cbf":
                return as_byte_offset
            case "tiff":
                return as_rows
            case _:
                return as_bytes

    def check(self) -> None:
        """Raise ExperimentError for what the format has no form for."""
        plane = self.plane
        cut = self.format.name == "nxmx" and not plane.whole
        if cut and plane.panels > 1 and plane.rows % EDGE:
            raise ExperimentError(
                f"{plane.panels} panels of {plane.rows} rows are more than HDF5 keeps in one piece "
                f"(4 GiB), and their rows are no multiple of {EDGE}; give fewer `panels`, or "
                "export to npy"
            )  # fmt: skip

    @property
    def stem(self) -> str:
        """The name without its ending, and without _master."""
        return self.output.stem.removesuffix("_master")

    @property
    def files(self) -> list[OutputFile]:
        """The files with pixels, in order."""
        count = len(self.shots)
        if self.format.name == "nxmx":
            starts = range(0, count, FRAMES_PER_FILE)
            return [
                OutputFile(
                    f"{self.stem}_data_{number:06d}.h5", start, min(FRAMES_PER_FILE, count - start)
                )
                for number, start in enumerate(starts, start=1)
            ]
        if self.format.stack:
            return [OutputFile(self.output.name, 0, count)]
        many = self.all_shots if count > 1 else 1
        return [
            OutputFile(numbered(self.output, shot + 1, many).name, place, 1)
            for place, shot in enumerate(self.shots)
        ]

    @property
    def names(self) -> list[str]:
        """All their names, the main one last."""
        names = [file.name for file in self.files]
        return names if self.master is None else [*names, self.master]

    @property
    def truth(self) -> list[str]:
        """Names of DIALS' files beside them."""
        return [f"{self.stem}.expt", f"{self.stem}.refl"]

    @property
    def nbytes(self) -> int:
        """Of all pixels, before compression."""
        return len(self.shots) * self.plane.nbytes

    @property
    def least_bytes(self) -> int:
        """What is surely written: all of it, or a byte a pixel, or nothing that is known."""
        if self.format.name in ("nxmx", "cbf"):
            return self.nbytes // 4 if self.format.name == "cbf" else 0
        return self.nbytes

    def write(self, file: OutputFile, path: Path, payloads: Iterator[Any]) -> None:
        """Write a file, taking as many of the payloads as are its own."""
        per = self.bands_per_shot
        mine = islice(payloads, file.shots * per)
        panels = self.plane.panels
        one = self.instrument.select([file.first], range(panels))
        match self.format.name:
            case "nxmx":
                with DataFile(path, file.shots, file.first + 1, self.plane) as data:
                    for frame in range(file.shots):
                        data.write_frame(frame, islice(mine, per))
            case "cbf":
                write_cbf(path, mine, one, int(self.saturation))
            case "smv":
                write_smv(path, mine, one)
            case "tiff":
                shape = (panels, self.plane.rows, self.plane.cols)
                write_tiff(path, mine, shape, self.dtype, self.instrument.title)
            case "npy":
                shape4 = (file.shots, panels, self.plane.rows, self.plane.cols)
                write_npy(path, mine, shape4, self.dtype)
            case "raw":
                write_raw(path, mine)

    @property
    def master(self) -> str | None:
        """The file that is written last, beside those with pixels."""
        return self.output.name if self.format.name == "nxmx" else None

    def write_master(self, path: Path, mask_rows: MaskRows) -> None:
        """Write that file."""
        integer = np.dtype(self.dtype).kind != "f"
        write_master(
            path, [(file.name, file.shots) for file in self.files], self.instrument, self.plane,
            Limits(int(self.saturation) if integer else self.saturation), mask_rows,
        )  # fmt: skip

"""What a command line of nanoBragg writes, and what the program prints while it writes it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiledsim.nanobragg.camera import Camera
from tiledsim.nanobragg.command.command import DEFAULT_FLOAT_FILE, NanobraggCommand
from tiledsim.nanobragg.images.files import OutputFiles, check_outputs
from tiledsim.nanobragg.images.images import DEFAULT_ADC, ImageRequest, write_images
from tiledsim.nanobragg.images.smv_text import nanobragg_header
from tiledsim.nanobragg.images.statistics import ImageStatistics, image_statistics
from tiledsim.nanobragg.solid_angle import solid_angle_sr
from tiledsim.scene import Scene
from tiledsim.tile import Tile

DEFAULT_INT_FILE = "intimage.img"
DEFAULT_PGM_FILE = "image.pgm"
DEFAULT_NOISE_FILE = "noiseimage.img"


@dataclass(frozen=True)
class Outputs:
    """The images to write; None for those that are not."""

    float_file: Path | None
    int_file: Path | None
    pgm_file: Path | None
    noise_file: Path | None

    @property
    def files(self) -> list[Path]:
        """Those that are written."""
        named = (self.float_file, self.int_file, self.pgm_file, self.noise_file)
        return [file for file in named if file is not None]


def outputs_of(command: NanobraggCommand, *, defaults: bool) -> Outputs:
    """Decide what is written: what is named, and with ``defaults`` nanoBragg's other files too.

    Raises StoreError where one of them cannot be written.
    """

    def chosen(file: Path | None, default: str) -> Path | None:
        return Path(default) if file is None and defaults else file

    outputs = Outputs(
        chosen(command.float_file, DEFAULT_FLOAT_FILE),
        chosen(command.int_file, DEFAULT_INT_FILE),
        None if command.nopgm else chosen(command.pgm_file, DEFAULT_PGM_FILE),
        None if command.nonoise else chosen(command.noise_file, DEFAULT_NOISE_FILE),
    )
    check_outputs(
        {
            "-floatfile": outputs.float_file,
            "-intfile": outputs.int_file,
            "-pgmfile": outputs.pgm_file,
            "-noisefile": outputs.noise_file,
            "-dump": command.dump_file,
        }
    )
    return outputs


def write_outputs(
    float_image: Path,
    outputs: Outputs,
    command: NanobraggCommand,
    scene: Scene,
    camera: Camera,
    noise_seed: int,
) -> list[str]:
    """Write the images from the raw float image of a run, which takes its own name at the end.

    Returns what nanoBragg prints of them.  They appear all together or not at all; raises
    StoreError where one cannot be written.
    """
    _, _, slow, fast = scene.shape
    image: NDArray[np.float32] = np.memmap(float_image, "<f4", "r", shape=(slow, fast))
    statistics = image_statistics(image, scene.roi, lambda part: rendered_rows(scene, part))
    omega = solid_angle_sr(scene)
    lines = [
        "",
        f"solid angle subtended by detector = {omega:.6g} steradian "
        f"( {100 * omega / 4 / np.pi:.6g}% sphere)",
    ]
    request = ImageRequest(
        int_file=outputs.int_file,
        pgm_file=outputs.pgm_file,
        noise_file=outputs.noise_file,
        int_scale=command.int_scale,
        pgm_scale=command.pgm_scale,
        adc=DEFAULT_ADC if command.adc_offset is None else command.adc_offset,
        noise_seed=noise_seed,
        mode=command.experiment.mode,
    )
    with OutputFiles() as files:
        if outputs.float_file is not None:
            lines.append(f"writing {outputs.float_file} as {slow * fast} 4-byte floats")
            files.adopt(float_image, outputs.float_file)
        lines += statistics_lines(statistics, scene.pixel_size, scene.oversample)
        lines += write_images(
            image, scene.roi, statistics, nanobragg_header(camera), request, files
        )
    return lines


def statistics_lines(found: ImageStatistics, pixel_size: float, oversample: int) -> list[str]:
    """Return the lines about maximum and spread.

    The place of the maximum is that of the last subpixel of its pixel [m].
    """
    sub = pixel_size / oversample
    x, y = (
        0.0 if index < 0 else sub * (index * oversample + oversample - 1) + sub / 2.0
        for index in (found.fast, found.slow)
    )
    return [
        f"max_I = {found.maximum:.6g}  at {x:.6g} {y:.6g}",
        f"mean= {found.mean:.6g} rms= {found.rms:.6g} rmsd= {found.rmsd:.6g}",
    ]


def rendered_rows(scene: Scene, part: slice) -> NDArray[np.bool_]:
    """Which pixels of some rows were rendered [rows, fast]."""
    tile = Tile(0, 0, part.start, part.stop, 0, scene.shape[3])
    rendered = scene.rendered_mask(tile)
    return np.ones((tile.rows, tile.cols), dtype=np.bool_) if rendered is None else rendered

"""Random command lines: tiledsim's c-parity against a nanoBragg binary, pixel by pixel.

    NANOBRAGG=/path/to/nanoBragg python benchmarks/fuzz_nanobragg.py --count 2000 --seed 1

Draws over every flag that changes a pixel, with input files of its own.  A command line that
differs is made shorter, flag by flag, as long as it still differs, and printed.  The exit status
is 1 if any did.  Agreement is that of tests/parity: 1e-6 relative, 1e-12 of the maximum absolute.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tiledsim import build_scene, experiment_from_nanobragg
from tiledsim.errors import TiledsimError
from tiledsim.kernels import get_backend
from tiledsim.tile import Tile

Words = list[str]
Draw = Callable[[random.Random], Words]
LARGEST_WORK = 30_000_000
"""Evaluations of an image; a command line that asks for more is drawn again."""


def number(low: float, high: float) -> Draw:
    """Draw a number with four digits."""
    return lambda r: [f"{r.uniform(low, high):.4g}"]


def whole(low: int, high: int) -> Draw:
    """Draw a whole number."""
    return lambda r: [str(r.randint(low, high))]


def choice(*words: str) -> Draw:
    """Draw a word, or several that belong together."""
    return lambda r: r.choice(words).split()


def vector(r: random.Random) -> Words:
    """Draw a direction, often along an axis, often of another length than 1."""
    if r.random() < 0.4:
        v = [0.0, 0.0, 0.0]
        v[r.randrange(3)] = r.choice([1.0, -1.0, 2.0, 0.5])
    else:
        v = [r.uniform(-1, 1) for _ in range(3)]
    return [f"{x:.4g}" for x in v]


def nothing(r: random.Random) -> Words:
    """Draw no value."""
    return []


def cell(r: random.Random) -> Words:
    """Draw a cell, sometimes without its last numbers."""
    lengths = [f"{r.uniform(25, 110):.4g}" for _ in range(3)]
    angles = r.choice(["90 90 90", "90 90 120", "90 102 90", "75 85 95", "103 97 111"]).split()
    return (lengths + angles)[: r.choice([1, 2, 3, 6, 6, 6, 6])]


FLAGS: dict[str, tuple[float, Draw]] = {
    # name: how often, and its value
    "-N": (0.5, whole(0, 14)), "-Na": (0.15, whole(1, 20)), "-Nb": (0.1, whole(1, 20)),
    "-Nc": (0.1, whole(-1, 20)), "-xtalsize": (0.1, number(5e-6, 8e-5)),
    "-xtal_x": (0.05, number(5e-6, 5e-5)), "-beamsize": (0.08, number(1e-5, 0.2)),
    "-misset": (0.4, lambda r: [f"{r.uniform(-180, 180):.4g}" for _ in range(3)]),
    "-misset_seed": (0.15, whole(1, 2**31 - 2)),
    "-mosaic": (0.3, number(0, 3)), "-mosaic_domains": (0.2, whole(0, 6)),
    "-mosaic_seed": (0.15, whole(1, 2**31 - 2)),
    "-lambda": (0.4, number(0.7, 3)), "-energy": (0.1, number(5000, 15000)),
    "-dispersion": (0.15, number(0, 6)), "-dispsteps": (0.12, whole(0, 4)),
    "-divergence": (0.1, number(0, 20)), "-divsteps": (0.08, whole(0, 4)),
    "-hdivrange": (0.08, number(0, 20)), "-vdivrange": (0.08, number(0, 20)),
    "-hdivstep": (0.06, number(1, 8)), "-vdivstep": (0.06, number(1, 8)),
    "-hdivsteps": (0.06, whole(0, 4)), "-vdivsteps": (0.06, whole(0, 4)),
    "-square_div": (0.08, nothing), "-round_div": (0.05, nothing),
    "-sourcefile": (0.1, choice("s1.txt", "s2.txt", "s3.txt", "s4.txt")),
    "-polar": (0.3, choice("0", "1", "-1", "0.9", "0.37", "1.3")), "-nopolar": (0.08, nothing),
    "-phi": (0.25, choice("0", "0", "10", "-33.3", "57.4")), "-osc": (0.25, number(0.1, 3)),
    "-phisteps": (0.2, whole(0, 4)), "-phistep": (0.1, number(0.1, 1)),
    "-pixel": (0.9, number(0.1, 1.2)), "-distance": (0.4, number(30, 250)),
    "-close_distance": (0.12, number(30, 250)), "-detpixels_f": (0.2, whole(10, 40)),
    "-detpixels_s": (0.2, whole(10, 40)),
    "-mosflm": (0.06, nothing), "-xds": (0.1, nothing), "-denzo": (0.08, nothing),
    "-adxv": (0.08, nothing), "-dials": (0.1, nothing),
    "-Xbeam": (0.15, number(0, 20)), "-Ybeam": (0.15, number(0, 20)),
    "-Xclose": (0.08, number(0, 20)), "-Yclose": (0.08, number(0, 20)),
    "-ORGX": (0.08, number(0, 40)), "-ORGY": (0.08, number(0, 40)),
    "-pivot": (0.15, choice("beam", "sample")),
    "-detector_rotx": (0.15, number(-60, 60)), "-detector_roty": (0.15, number(-130, 130)),
    "-detector_rotz": (0.15, number(-60, 60)), "-twotheta": (0.2, number(-100, 100)),
    "-twotheta_axis": (0.1, vector), "-fdet_vector": (0.05, vector),
    "-sdet_vector": (0.05, vector), "-odet_vector": (0.05, vector), "-beam_vector": (0.06, vector),
    "-polar_vector": (0.06, vector), "-spindle_axis": (0.1, vector),
    "-pix0_vector": (0.05, choice("0.1 -0.01 0.02", "-0.2 0.2 -0.2")),
    "-curved_det": (0.1, nothing), "-point_pixel": (0.1, nothing),
    "-detector_abs": (0.2, choice("inf", "0", "250", "81.8")),
    "-detector_thick": (0.2, number(50, 500)), "-detector_thicksteps": (0.15, whole(0, 4)),
    "-oversample": (0.7, whole(0, 3)), "-oversample_thick": (0.12, nothing),
    "-oversample_polar": (0.12, nothing), "-oversample_omega": (0.12, nothing),
    "-roi": (0.1, choice("3 9 2 8", "0 100 5 7", "-1 -1 3 90", "2 -1 0 5")),
    "-dmin": (0.12, number(1, 6)), "-water": (0.12, number(1, 400)),
    "-fluence": (0.08, choice("1e12", "1.259e29", "2e24")), "-flux": (0.08, choice("1e12")),
    "-exposure": (0.06, number(0.1, 3)),
    "-square_xtal": (0.05, nothing), "-round_xtal": (0.15, nothing),
    "-gauss_xtal": (0.15, nothing), "-tophat_spots": (0.12, nothing),
    "-fudge": (0.12, number(0.3, 2)), "-interpolate": (0.1, nothing),
    "-nointerpolate": (0.15, nothing),
    "-mask": (0.06, choice("mask.img")), "-img": (0.06, choice("mask.img")),
    "-hdiv": (0.03, number(0, 3)), "-dispstep": (0.03, number(0, 3)),
    "-detsize_x": (0.02, number(5, 9)),
}  # fmt: skip
EXCLUSIVE = {"-lambda": "-energy", "-xtalsize": "-N"}


def write_inputs(folder: Path) -> None:
    """Write the files that the command lines name."""
    r = np.random.default_rng(7)
    whole_box = [
        f"{h} {k} {l} {abs(h * 7 + k * 3 - l * 5) % 97 + 3.25}"
        for h in range(-9, 10) for k in range(-9, 10) for l in range(-9, 10)
    ]  # fmt: skip
    (folder / "full.hkl").write_text("\n".join(whole_box) + "\n")
    (folder / "sparse.hkl").write_text("\n".join(whole_box[::13]) + "\n")
    (folder / "tail.hkl").write_text("\n".join(whole_box[:4000]) + "\nEND of file\n1 2 3 99\n")
    (folder / "shifted.hkl").write_text("\n".join(f"{x} 1.5" for x in whole_box[::300]) + "\n")
    (folder / "s1.txt").write_text("-10 0.01 0.02 1.0 1.0e-10\n-10 -0.02 0.0 0.3 0.98e-10\n\n")
    (folder / "s2.txt").write_text("-10 0.01 0.02\n-10 -0.02 0.0\n")
    (folder / "s3.txt").write_text("-10,0.01,0.02,1.0,1.0e-10\n-9;0:0.1!2\n")
    (folder / "s4.txt").write_text("0.02 0.0 -10 3 9.9e-11\n")
    (folder / "A.mat").write_text(
        "0.02034494 -0.00598314 0.00582839\n0.01174616 0.01722124 0.00091408\n"
        "-0.00855050 0.00211178 0.01303527\n"
    )
    header = (
        "{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\n"
        "SIZE1=24;\nSIZE2=20;\nPIXEL_SIZE=0.4;\nDISTANCE=120;\nWAVELENGTH=1.1;\n"
        "BEAM_CENTER_X=4.1;\nBEAM_CENTER_Y=5.2;\nPHI=3;\nOSC_RANGE=0.5;\n}\f\n"
    )
    pixels = (r.random((20, 24)) > 0.1).astype("<u2")
    (folder / "mask.img").write_bytes(header.ljust(512).encode() + pixels.tobytes())


def draw(r: random.Random) -> list[Words]:
    """Draw a command line as a list of flags, each with its values, in random order."""
    drawn = [[name, *value(r)] for name, (often, value) in FLAGS.items() if r.random() < often / 2]
    names = {words[0] for words in drawn}
    drawn = [words for words in drawn if EXCLUSIVE.get(words[0]) not in names]
    names = {words[0] for words in drawn}
    crystal = [["-cell", *cell(r)]] if r.random() < 0.85 else [["-mat", "A.mat"]]
    if r.random() < 0.05:
        crystal = [["-cell", *cell(r)], ["-mat", "A.mat"]]
    factors = [["-default_F", f"{r.uniform(1, 300):.4g}"]]
    if r.random() < 0.45:
        table = r.choice(["full.hkl", "sparse.hkl", "tail.hkl", "shifted.hkl"])
        factors = [["-hkl", table], *(factors if r.random() < 0.5 else [])]
    extra = []
    if "-misset_seed" in names and r.random() < 0.8:
        extra.append(["-misset", "random"])
    if "-oversample" not in names and r.random() < 0.7:
        extra.append(["-oversample", "1"])
    flags = [["-detpixels", str(r.randint(14, 36))], *crystal, *factors, *extra, *drawn]
    r.shuffle(flags)
    return flags


def words_of(flags: Sequence[Words]) -> Words:
    """Join flags to the words of a command line."""
    return [word for words in flags for word in words]


def by_nanobragg(binary: str, argv: Words, folder: Path) -> np.ndarray | None:
    """Return nanoBragg's image, flat, or None where it makes none."""
    out = folder / "float.bin"
    for made in (out, folder / "Fdump.bin"):
        made.unlink(missing_ok=True)
    try:
        subprocess.run(
            [binary, *argv, "-floatfile", out.name, "-nonoise", "-nopgm", "-noprogress"],
            cwd=folder, capture_output=True, timeout=120, check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    (folder / "Fdump.bin").unlink(missing_ok=True)
    return np.fromfile(out, "<f4").astype(np.float64) if out.exists() else None


def verdict(binary: str, flags: Sequence[Words], folder: Path) -> str:
    """Return in a few words how the two programs compare on a command line."""
    argv = words_of(flags)
    tail = ["-floatfile", "float.bin", "-nonoise", "-nopgm", "-noprogress"]
    try:
        scene = build_scene(experiment_from_nanobragg([*argv, *tail], base=folder))
        _, _, slow, fast = scene.shape
        if slow * fast * scene.steps_per_pixel > LARGEST_WORK:
            return "too long"
        with np.errstate(all="ignore"):
            image = get_backend("cpu").render(scene, Tile(0, 0, 0, slow, 0, fast)).ravel()
            image = image.astype(np.float32).astype(np.float64)
    except TiledsimError as error:
        made = by_nanobragg(binary, argv, folder)
        if made is None:
            return "refused by both"
        if "the mask is" in str(error):
            return "reads past its memory"  # a mask of fewer pixels than the detector
        what = "not finite" if not np.isfinite(made).all() else "an image"
        return f"refused, nanoBragg makes {what}: {error}"
    expected = by_nanobragg(binary, argv, folder)
    if expected is None:
        return "rendered, nanoBragg makes nothing"
    if expected.shape != image.shape:
        return f"DIFFERS: {image.size} pixels for {expected.size}"
    if not np.isfinite(expected).all():
        return "not finite"
    allowed = 1e-6 * np.abs(expected) + 1e-12 * np.abs(expected).max()
    wrong = ~(np.abs(image - expected) <= allowed)
    if not wrong.any():
        return "agrees" if expected.any() else "agrees, all zero"
    share = np.abs(image - expected)[wrong].max() / (np.abs(expected).max() or 1.0)
    return f"DIFFERS: {wrong.sum()} of {wrong.size} pixels, by up to {share:.1e} of the maximum"


def minimise(binary: str, flags: list[Words], folder: Path, kind: str) -> list[Words]:
    """Leave flags out one by one as long as the verdict stays of its kind."""
    shorter = True
    while shorter:
        shorter = False
        for i in range(len(flags)):
            rest = flags[:i] + flags[i + 1 :]
            if verdict(binary, rest, folder).startswith(kind):
                flags, shorter = rest, True
                break
    return flags


def main() -> int:
    """Compare as many command lines as asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="the first one")
    asked = parser.parse_args()
    binary = os.environ.get("NANOBRAGG")
    if not binary:
        print("set NANOBRAGG to the path of a nanoBragg binary", file=sys.stderr)
        return 2
    binary = str(Path(binary).resolve())
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_inputs(folder)
        for i in range(asked.start, asked.start + asked.count):
            flags = draw(random.Random(f"{asked.seed}/{i}"))
            said = verdict(binary, flags, folder)
            kind = said.partition(":")[0]
            found[kind] += 1
            if kind in ("DIFFERS", "refused, nanoBragg makes an image"):
                short = minimise(binary, flags, folder, kind)
                print(f"{i}: {verdict(binary, short, folder)}\n    {' '.join(words_of(short))}")
                sys.stdout.flush()
    print(", ".join(f"{count} {kind}" for kind, count in found.most_common()))
    return int(found["DIFFERS"] > 0)


if __name__ == "__main__":
    sys.exit(main())

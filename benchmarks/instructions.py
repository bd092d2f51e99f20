"""Instructions a step of the CUDA kernel, counted in its machine code, and what they bound.

    pip install nvidia-cuda-nvdisasm && python benchmarks/instructions.py [--architecture sm_90]
    python benchmarks/instructions.py --sweep 300

Needs no GPU: NVRTC compiles, nvdisasm shows the machine code, and the innermost loop is counted.
The bounds are those of an H200 (132 multiprocessors at 1.98 GHz, 128 instructions and 64 of float64
a cycle each): what the issue slots and the float64 units allow if nothing else ever waits.

With --sweep, drawn combinations of options are compiled for three architectures, and those named
that keep something in memory for want of registers.
"""

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.gpu.nvrtc import compile_for
from tiledsim.kernels.cuda.params import parameter_layout
from tiledsim.kernels.cuda.source import Specialisation, occupancy, render_source

CYCLES = 132 * 1.98e9
ISSUED, DOUBLE = 128, 64

_OFF = {field.name: False for field in fields(Specialisation) if field.type is bool}


def kernels() -> dict[str, Specialisation]:
    """Name the kernels that are counted: crystals without anything else that a step would cost."""
    plain = Specialisation(
        **_OFF | {"shape": "SQUARE", "factors": "NEAREST", "elements": 0, "polarization": "PLAIN",
                  "thick": "OWN", "polar": "OWN", "omega": "OWN", "pixels": 0, "blocks": 0}
    )  # fmt: skip
    found = {}
    for factors in ("NEAREST", "TRICUBIC"):
        for spectrum in (False, True):
            for shape in ("SQUARE", "GAUSS", "ROUND"):
                for dtype in ("float64", "mixed", "anchored"):
                    if (shape, dtype) == ("ROUND", "anchored"):
                        continue
                    mixed, anchored = dtype != "float64", dtype == "anchored"
                    pixels, blocks = occupancy(
                        shape, factors, mixed=mixed, curved=False, spectrum=spectrum,
                        several=False, water=False, anchored=anchored,
                    )  # fmt: skip
                    words = [shape.lower(), *(["spectrum"] if spectrum else [])]
                    words += [*(["tricubic"] if factors == "TRICUBIC" else []), dtype]
                    found[" ".join(words)] = replace(
                        plain, shape=shape, factors=factors, spectrum=spectrum, mixed=mixed,
                        anchored=anchored, pixels=pixels, blocks=blocks,
                    )  # fmt: skip
    return found


def nvdisasm() -> str:
    """Find the disassembler on the path or among the packages of this interpreter."""
    beside = Path(sys.prefix).glob("lib/python*/site-packages/nvidia/**/bin/nvdisasm")
    found = shutil.which("nvdisasm") or next(map(str, beside), None)
    if found is None:
        raise SystemExit("nvdisasm is not found; pip install nvidia-cuda-nvdisasm")
    return found


def innermost_loop(code: bytes) -> list[str]:
    """Return the names of the instructions of the longest innermost loop."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        text = subprocess.run(
            [nvdisasm(), "-c", file.name], capture_output=True, text=True, check=True
        ).stdout
    labels: dict[str, int] = {}
    instructions: list[str] = []
    for line in text.splitlines():
        if found := re.match(r"\s*(\.L_x_\d+):", line):
            labels[found[1]] = len(instructions)
        elif found := re.search(r"/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            instructions.append(found[1].strip())
    loops = [
        (labels[found[1]], end)
        for end, words in enumerate(instructions)
        if (found := re.search(r"BRA.*`\((\.L_x_\d+)\)", words)) and labels[found[1]] <= end
    ]
    inner = [
        (start, end)
        for start, end in loops
        if not any((s, e) != (start, end) and s >= start and e <= end for s, e in loops)
    ]
    start, end = max(inner, key=lambda loop: loop[1] - loop[0])
    bare = (re.sub(r"^@!?U?P\d+ ", "", words) for words in instructions[start : end + 1])
    return [words.split()[0].split(".")[0] for words in bare]


def drawn(rng: random.Random) -> Specialisation:
    """Draw options as scenes combine them; pixels and blocks are those that specialise() takes."""

    def maybe(share: float = 0.4) -> bool:
        return rng.random() < share

    shape = rng.choice(("SQUARE", "ROUND", "GAUSS", "TOPHAT"))
    factors = rng.choice(("UNIFORM", "NEAREST", "TRICUBIC"))
    polarization = rng.choice(("NONE", "PLAIN", "LINEAR"))
    absorbing, curved, cut = maybe(), maybe(0.2), maybe(0.2)
    ways = ("OWN", "FIRST", "RUNNING") if maybe(0.15) else ("OWN", "FIRST")
    thick = rng.choice(ways) if absorbing else "OWN"
    polar = rng.choice(ways) if polarization != "NONE" else "OWN"
    omega = rng.choice(ways)
    running = "RUNNING" in (thick, polar, omega)
    spectrum = maybe() and not running and not cut
    mixed = maybe() and not running and shape != "TOPHAT"
    anchored = mixed and shape != "ROUND" and maybe()
    several, water = maybe(), maybe()
    pixels, blocks = occupancy(
        shape, factors, mixed=mixed, curved=curved, spectrum=spectrum, several=several,
        water=water, anchored=anchored,
    )  # fmt: skip
    return Specialisation(
        **_OFF | {
            "shape": shape, "factors": factors, "elements": 0, "mixed": mixed,
            "anchored": anchored, "polarization": polarization, "thick": thick, "polar": polar,
            "omega": omega, "curved": curved, "point_pixel": maybe(), "absorbing": absorbing,
            "layers": absorbing and maybe(), "subpixels": maybe(), "directions": several,
            "spectrum": spectrum, "weighted": spectrum and maybe(), "cut": cut, "water": water,
            "skip_dark": running and maybe(), "pixels": pixels, "blocks": blocks,
        }
    )  # fmt: skip


def sweep(count: int) -> None:
    """Print which of so many combinations spill."""
    rng, spilling = random.Random(1), 0
    for _ in range(count):
        special = drawn(rng)
        text = render_source(special, parameter_layout(special.mixed))
        for architecture in ("sm_75", "sm_90", "sm_100"):
            compiled = compile_for(text, architecture)
            if compiled.spill_bytes or compiled.stack_bytes:
                spilling += 1
                print(f"{architecture}: {compiled.spill_bytes} bytes spilled: {special}")
    print(f"{spilling} of {3 * count} spill")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--architecture", default="sm_90")
    parser.add_argument("--sweep", type=int, metavar="N")
    options = parser.parse_args()
    if options.sweep:
        sweep(options.sweep)
        return
    print(f"{'kernel':32} {'registers':>9} {'all':>6} {'float64':>7} {'float32':>7} bound Gsteps/s")
    for name, special in kernels().items():
        compiled = compile_for(
            render_source(special, parameter_layout(special.mixed)), options.architecture
        )
        counts = Counter(innermost_loop(compiled.code))
        each = sum(counts.values()) / special.pixels
        double = sum(counts[n] for n in ("DFMA", "DMUL", "DADD", "DSETP")) / special.pixels
        single = sum(counts[n] for n in ("FFMA", "FMUL", "FADD", "FSETP", "FSEL")) / special.pixels
        bound = CYCLES * min(ISSUED / each, DOUBLE / max(double, 0.01)) / 1e9
        numbers = f"{compiled.registers:9} {each:6.1f} {double:7.1f} {single:7.1f} {bound:14.0f}"
        print(f"{name:32} {numbers}")


if __name__ == "__main__":
    main()

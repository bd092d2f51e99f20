"""Instructions a step of the CUDA kernel, counted in its machine code, and what they bound.

    pip install nvidia-cuda-nvdisasm && python benchmarks/instructions.py [--architecture sm_90]

Needs no GPU: NVRTC compiles, nvdisasm shows the machine code, and the innermost loop is counted.
The bounds are those of an H200 (132 multiprocessors at 1.98 GHz, 128 instructions and 64 of float64
a cycle each): what the issue slots and the float64 units allow if nothing else ever waits.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.gpu.nvrtc import compile_for
from tiledsim.kernels.cuda_params import parameter_layout
from tiledsim.kernels.cuda_source import Specialisation, render_source

CYCLES = 132 * 1.98e9
ISSUED, DOUBLE = 128, 64

_SQUARE = Specialisation(
    shape="SQUARE", factors="NEAREST", mixed=False, polarization="PLAIN", thick="OWN", polar="OWN",
    omega="OWN", curved=False, point_pixel=False, absorbing=False, layers=False, subpixels=False,
    directions=False, spectrum=False, weighted=False, cut=False, water=False, skip_dark=False,
    pixels=2, blocks=4,
)  # fmt: skip
_SPECTRUM = replace(_SQUARE, shape="GAUSS", spectrum=True)
KERNELS = {
    "square float64": _SQUARE,
    "square mixed": replace(_SQUARE, mixed=True, pixels=4),
    "gauss spectrum float64": _SPECTRUM,
    "gauss spectrum mixed": replace(_SPECTRUM, mixed=True, pixels=4),
    "round float64": replace(_SQUARE, shape="ROUND"),
    "round mixed": replace(_SQUARE, shape="ROUND", mixed=True),
    "tricubic float64": replace(_SQUARE, factors="TRICUBIC", blocks=3),
    "tricubic mixed": replace(_SQUARE, factors="TRICUBIC", mixed=True, blocks=3),
}


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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--architecture", default="sm_90")
    options = parser.parse_args()
    print(f"{'kernel':24} {'registers':>9} {'all':>6} {'float64':>7} {'float32':>7} bound Gsteps/s")
    for name, special in KERNELS.items():
        compiled = compile_for(
            render_source(special, parameter_layout(special.mixed)), options.architecture
        )
        counts = Counter(innermost_loop(compiled.code))
        each = sum(counts.values()) / special.pixels
        double = sum(counts[n] for n in ("DFMA", "DMUL", "DADD", "DSETP")) / special.pixels
        single = sum(counts[n] for n in ("FFMA", "FMUL", "FADD", "FSETP", "FSEL")) / special.pixels
        bound = CYCLES * min(ISSUED / each, DOUBLE / max(double, 0.01)) / 1e9
        numbers = f"{compiled.registers:9} {each:6.1f} {double:7.1f} {single:7.1f} {bound:14.0f}"
        print(f"{name:24} {numbers}")


if __name__ == "__main__":
    main()

"""The kernels compile to machine code for every architecture, without a warning or a spill.

No GPU and no driver is needed.  Compiled are all specialisations that the reference images use,
and those that benchmarks/gpu.py times, in float64 and mixed.
"""

from dataclasses import fields, replace

import pytest

from tests.gpu.nvrtc import Compiled, CompileError, compile_for, library_file
from tests.parity.golden import CASES
from tiledsim import build_scene, experiment_from_nanobragg
from tiledsim.kernels.cuda.params import FINISH_LAYOUT, parameter_layout
from tiledsim.kernels.cuda.source import (
    THREADS,
    Specialisation,
    finish_source,
    occupancy,
    render_source,
    specialise,
)

TARGETS = [
    pytest.param(
        version, architecture,
        marks=pytest.mark.skipif(
            library_file(version) is None, reason=f"NVRTC {version} is not installed (extra test)"
        ),
    )
    for version, architectures in {
        12: ("sm_75", "sm_90", "sm_120"),
        13: ("sm_75", "sm_80", "sm_90", "sm_120"),
    }.items()
    for architecture in architectures
]  # fmt: skip
needs_13 = pytest.mark.skipif(library_file(13) is None, reason="NVRTC 13 is not installed")
REGISTERS = 65536
"""Of a multiprocessor."""


def specialisations() -> list[Specialisation]:
    found = set()
    for case in CASES:
        scene = build_scene(experiment_from_nanobragg(case.argv, base=case.inputs))
        for dtype in ("float64", "mixed"):
            for interpolate in {scene.interpolate, False}:
                found.add(specialise(scene, dtype, interpolate=interpolate))
                found.add(specialise(scene, dtype, interpolate=interpolate, anchored=True))
    square = min((s for s in found if s.shape == "SQUARE" and not s.mixed), key=str)
    plain = {field.name: False for field in fields(square) if field.type is bool}
    own = replace(
        square, factors="NEAREST", polarization="PLAIN", thick="OWN", polar="OWN", omega="OWN",
        pixels=2, blocks=4, **plain,
    )  # fmt: skip
    for shape in ("SQUARE", "ROUND", "GAUSS"):
        for spectrum in (False, True):
            base = replace(own, shape=shape, spectrum=spectrum, weighted=spectrum)
            for factors, elements, mixed, anchored in (
                ("NEAREST", 0, False, False), ("NEAREST", 0, True, False),
                ("NEAREST", 0, True, shape != "ROUND"), ("DISPERSIVE", 1, False, False),
                ("DISPERSIVE", 1, True, False), ("DISPERSIVE", 3, False, False),
            ):  # fmt: skip
                pixels, blocks = occupancy(
                    shape, factors, mixed=mixed, curved=False, spectrum=spectrum, several=False,
                    water=False, anchored=anchored,
                )  # fmt: skip
                found.add(
                    replace(base, factors=factors, elements=elements, mixed=mixed,
                            anchored=anchored, pixels=pixels, blocks=blocks)
                )  # fmt: skip
    return sorted(found, key=str)


def assert_well_compiled(compiled: Compiled, blocks: int = 4) -> None:
    assert compiled.code.startswith(b"\x7fELF")
    assert compiled.warnings == []
    assert compiled.spill_bytes == compiled.stack_bytes == 0
    assert compiled.registers * THREADS * blocks <= REGISTERS


@pytest.mark.parametrize(("version", "architecture"), TARGETS)
def test_every_specialisation_compiles(version: int, architecture: str) -> None:
    chosen = specialisations()
    assert len(chosen) > 30
    for special in chosen:
        text = render_source(special, parameter_layout(special.mixed))
        try:
            assert_well_compiled(compile_for(text, architecture, version), special.blocks)
        except (AssertionError, CompileError) as error:
            error.add_note(f"{special} for {architecture}, NVRTC {version}")
            raise
    assert_well_compiled(compile_for(finish_source(FINISH_LAYOUT), architecture, version))


@needs_13
def test_the_test_can_fail() -> None:
    text = finish_source(FINISH_LAYOUT)
    with pytest.raises(CompileError):
        compile_for(text.replace("p.rows", "p.rums"), "sm_90")
    spilling = 'extern "C" __global__ void f(int *p, int n) { int a[64]; '
    spilling += "for (int i = 0; i < n; ++i) a[p[i]] = i; p[0] = a[n]; }"
    with pytest.raises(AssertionError):
        assert_well_compiled(compile_for(spilling, "sm_90"))
    unused = 'extern "C" __global__ void f(int *p) { int unused; p[0] = 1; }'
    assert compile_for(unused, "sm_90").warnings

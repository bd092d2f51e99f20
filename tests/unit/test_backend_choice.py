"""Which kernel is taken, and what is said, in one line, where CUDA cannot be used."""

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.command import refusal
from tiledsim import machine
from tiledsim.errors import BackendError
from tiledsim.kernels import choose_backend_name, devices
from tiledsim.kernels.cuda.device import is_sticky

Machine = Callable[..., None]


@pytest.fixture
def machine_with(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Pretend that CuPy and a driver are as told."""

    def pretend(
        *, cupy: str = "sound", gpus: list[str] | str | None = None, visible: str | None = None
    ) -> None:
        real_spec, real_import = importlib.util.find_spec, importlib.import_module

        def find_spec(name: str, package: str | None = None) -> Any:
            if name == "cupy":
                return None if cupy == "absent" else object()
            return real_spec(name, package)

        def import_module(name: str, package: str | None = None) -> ModuleType:
            if name != "cupy":
                return real_import(name, package)
            if cupy == "broken":
                raise ImportError("libnvrtc.so.13 is damaged\nand more of it")
            return ModuleType("cupy")

        def present() -> list[tuple[str, str]]:
            if isinstance(gpus, str) or gpus is None:
                raise devices.NoDriverError(gpus or "neither nvidia-smi nor libcuda.so.1 is found")
            return [(str(i), uuid) for i, uuid in enumerate(gpus)]

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)
        monkeypatch.setattr(importlib, "import_module", import_module)
        monkeypatch.setattr(devices, "_present_devices", present)
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return pretend


@pytest.mark.parametrize(
    ("situation", "said"),
    [
        ({"cupy": "absent"}, 'CuPy is not installed; pip install "tiledsim[cuda13]"'),
        ({"gpus": None}, "the NVIDIA driver is not (neither nvidia-smi nor libcuda"),
        ({"gpus": "nvidia-smi says 'failed'"}, "driver is not (nvidia-smi says 'failed')"),
        ({"gpus": []}, "the NVIDIA driver sees no GPU; check nvidia-smi"),
        ({"gpus": ["GPU-a"], "visible": ""}, "hides all 1 GPU(s)"),
        ({"gpus": ["GPU-a"], "cupy": "broken"}, "cannot be imported (libnvrtc.so.13 is damaged)"),
    ],
)
def test_why_cuda_cannot_be_used(
    machine_with: Machine, situation: dict[str, Any], said: str
) -> None:
    machine_with(**situation)
    with pytest.raises(BackendError, match="backend 'cuda' cannot be used") as caught:
        choose_backend_name("cuda", "float64")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    name, why = choose_backend_name("auto", "float64")
    assert name == "cpu"
    assert said in why
    with pytest.raises(BackendError, match="needs a GPU"):
        choose_backend_name("auto", "mixed")
    report = machine.examine()["kernels"]
    assert said in report["backend cuda"]
    assert report["backend auto"].startswith("cpu")


def test_cuda_is_taken_where_it_can_be_used(machine_with: Machine) -> None:
    machine_with(gpus=["GPU-a", "GPU-b"])
    for requested in ("auto", "cuda"):
        assert choose_backend_name(requested, "mixed") == ("cuda", "2 NVIDIA GPU(s) visible")
    assert choose_backend_name("cpu", "float64")[0] == "cpu"
    assert machine.examine()["kernels"]["backend cuda"].startswith("float64 and mixed")


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["0", "1", "2"]),
        ("2,0", ["2", "0"]),
        ("1,7,0", ["1"]),
        ("GPU-c,GPU-a", ["GPU-c", "GPU-a"]),
        ("GPU-x,1", []),
        ("", []),
        ("-1", []),
    ],
)
def test_visible_devices(machine_with: Machine, visible: str | None, expected: list[str]) -> None:
    machine_with(gpus=["GPU-aaaa", "GPU-bbbb", "GPU-cccc"], visible=visible)
    assert devices.visible_devices() == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo '0, GPU-aa'; echo '1, GPU-bb'", [("0", "GPU-aa"), ("1", "GPU-bb")]),
        ("echo 'No devices were found'; exit 6", []),
        ("echo 'NVIDIA-SMI has failed because'; exit 9", "NVIDIA-SMI has failed"),
        ("exit 3", "nvidia-smi fails"),
    ],
)
def test_what_nvidia_smi_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: Any
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    if isinstance(expected, list):
        assert devices._present_devices() == expected
    else:
        with pytest.raises(devices.NoDriverError, match=expected):
            devices._present_devices()


def test_without_nvidia_smi_the_library_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for said, found in (("2", [("0", ""), ("1", "")]), ("0", [])):
        monkeypatch.setattr(devices, "_COUNT", f"print({said})")
        assert devices._present_devices() == found
    monkeypatch.setattr(devices, "_COUNT", "import ctypes; ctypes.CDLL('libnowhere.so')")
    with pytest.raises(devices.NoDriverError, match=r"neither nvidia-smi nor libcuda.so.1"):
        devices._present_devices()


def test_nothing_imports_cupy_before_it_is_needed() -> None:
    code = "import sys, tiledsim, tiledsim.kernels.cuda.backend, tiledsim.scheduler.launch\n"
    code += "assert 'cupy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("message", "sticky"),
    [
        ("cudaErrorIllegalAddress: an illegal memory access was encountered", True),
        ("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure", True),
        ("CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error", True),
        ("cudaErrorMemoryAllocation: out of memory", False),
        ("cudaErrorInvalidValue: invalid argument", False),
    ],
)
def test_errors_after_which_the_process_is_lost(message: str, sticky: bool) -> None:
    assert is_sticky(message) == sticky


@pytest.mark.skipif(devices.cuda_status()[0], reason="CUDA can be used here")
def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    experiment = Path(__file__).parents[2] / "examples" / "quickstart.toml"
    said = refusal("run", experiment, "-o", tmp_path / "a.zarr", "--backend", "cuda")
    assert said.startswith("backend 'cuda' cannot be used: ")
    assert not (tmp_path / "a.zarr").exists()


def test_what_workers_keep_hides_no_outcome() -> None:
    """A scheduler may be lost at that moment."""
    from tiledsim.scheduler.session.preflight import release_devices

    class Client:
        status = "running"

        def run(self, *_: object, **__: object) -> None:
            raise OSError("Timed out trying to connect")

    release_devices(Client(), "cuda", "float64")

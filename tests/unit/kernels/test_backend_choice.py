"""Which kernel is taken, and what is said, in one line, where CUDA cannot be used."""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.command import refusal
from tiledsim import cupy_cache, machine
from tiledsim.errors import BackendError
from tiledsim.kernels import choose_backend_name, devices
from tiledsim.kernels.cuda.device import is_sticky

Machine = Callable[..., None]


def fake_cupy(driver: int) -> ModuleType:
    """A CuPy for CUDA 13 that knows which driver there is."""
    cupy: Any = ModuleType("cupy")
    cupy.cuda = ModuleType("cupy.cuda")
    cupy.cuda.runtime = ModuleType("cupy.cuda.runtime")
    cupy.cuda.runtime.driverGetVersion = lambda: driver
    cupy.cuda.runtime.runtimeGetVersion = lambda: 13000
    return cupy


@pytest.fixture
def machine_with(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Pretend that CuPy and a driver are as told."""

    def pretend(
        *, cupy: str = "sound", gpus: list[str] | str | None = None, visible: str | None = None,
        driver: int = 13000,
    ) -> None:  # fmt: skip
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
            return fake_cupy(driver)

        def present() -> tuple[devices.Gpu, ...]:
            if isinstance(gpus, str) or gpus is None:
                raise devices.NoDriverError(gpus or "neither nvidia-smi nor libcuda.so.1 is found")
            return tuple(devices.Gpu(str(i), uuid) for i, uuid in enumerate(gpus))

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


TWO = (devices.Gpu("0", "GPU-aa", "A card", "9.0"), devices.Gpu("1", "GPU-bb", "Another", "8.9"))
TWO_LINES = "echo '0, GPU-aa, A card, 9.0'; echo '1, GPU-bb, Another, 8.9'"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Put a script in the place of nvidia-smi."""

    def put(script: str) -> Path:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return program

    devices._ask_nvidia_smi.cache_clear()
    yield put
    devices._ask_nvidia_smi.cache_clear()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (TWO_LINES, TWO),
        ("echo 'No devices were found'; exit 6", ()),
        ("echo 'NVIDIA-SMI has failed because'; exit 9", "NVIDIA-SMI has failed"),
        ("exit 3", "nvidia-smi fails"),
    ],
)
def test_what_nvidia_smi_says(
    nvidia_smi: Callable[[str], Path], script: str, expected: Any
) -> None:
    nvidia_smi(script)
    if isinstance(expected, tuple):
        assert devices._present_devices() == expected
    else:
        with pytest.raises(devices.NoDriverError, match=expected):
            devices._present_devices()


def test_one_card_in_error_does_not_hide_the_others(
    nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi("echo 'Unable to determine the device handle for GPU1: Unknown Error'; exit 255")
    monkeypatch.setattr(devices, "_ASK_LIBRARY", "print('devices'); print('0,GPU-aa,A card,9.0')")
    assert devices._present_devices() == TWO[:1]


def test_nvidia_smi_is_asked_once(
    nvidia_smi: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    asked = tmp_path / "asked"
    nvidia_smi(f"echo x >> {asked}; {TWO_LINES}")
    for _ in range(3):
        assert devices.visible_devices() == ["0", "1"]
        assert devices.find_gpu("GPU-b") == TWO[1]
    assert asked.read_text() == "x\n"


def test_without_nvidia_smi_the_library_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = "print('devices'); print('0,GPU-aa,A card,9.0'); print('1,GPU-bb,Another,8.9')"
    for said, found in ((answer, TWO), ("print('devices')", ())):
        monkeypatch.setattr(devices, "_ASK_LIBRARY", said)
        assert devices._present_devices() == found
    monkeypatch.setattr(devices, "_ASK_LIBRARY", answer)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bb")  # names by UUID need no nvidia-smi
    assert devices.visible_devices() == ["GPU-bb"]
    monkeypatch.setattr(devices, "_ASK_LIBRARY", "import ctypes; ctypes.CDLL('libnowhere.so')")
    with pytest.raises(devices.NoDriverError, match=r"neither nvidia-smi nor libcuda.so.1"):
        devices._present_devices()
    monkeypatch.setattr(devices, "_ASK_LIBRARY", "raise SystemExit('CUDA error 999')")
    with pytest.raises(devices.NoDriverError, match="CUDA error 999"):
        devices._present_devices()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_the_drivers_library_is_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library with the driver's functions, of two cards."""
    source = tmp_path / "cuda.c"
    source.write_text(
        """
        #include <string.h>
        int cuInit(unsigned f) { return 0; }
        int cuDeviceGetCount(int *n) { *n = 2; return 0; }
        int cuDeviceGet(int *d, int i) { *d = i; return 0; }
        int cuDeviceGetUuid(unsigned char *u, int d) { memset(u, 16 + d, 16); return 0; }
        int cuDeviceGetName(char *t, int n, int d) { strcpy(t, "A card, of a kind"); return 0; }
        int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : 9; return 0; }
        """
    )
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    first, second = devices._ask_library()
    assert first == devices.Gpu(
        "0", "GPU-10101010-1010-1010-1010-101010101010", "A card  of a kind", "8.9"
    )
    assert second.uuid.startswith("GPU-11111111-")


def test_a_driver_older_than_the_runtime_of_cupy(machine_with: Machine) -> None:
    machine_with(gpus=["GPU-a"], driver=12040)
    usable, why = devices.cuda_status()
    assert not usable
    assert "tiledsim[cuda12]" in why
    machine_with(gpus=["GPU-a"], driver=13020)
    assert devices.cuda_status() == (True, "1 NVIDIA GPU(s) visible")


@pytest.mark.parametrize(
    ("capability", "slow"), [("9.0", False), ("8.0", False), ("8.9", True), ("7.5", True),
                             ("8.6", True), ("12.0", True), ("", False)],
)  # fmt: skip
def test_which_cards_are_slow_in_float64(capability: str, slow: bool) -> None:
    assert devices.float64_is_slow(capability) == slow


@pytest.mark.parametrize("folder", ["unwritable", "none", "fine"])
def test_cupys_folder_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine_with: Machine, folder: str
) -> None:
    """``unwritable``: a file stands where the home should be, which stops root too."""
    machine_with(gpus=["GPU-a"])
    for name in ("CUPY_CACHE_DIR", "CUPY_CACHE_IN_MEMORY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    if folder == "unwritable":
        home.write_text("")
    elif folder == "fine":
        home.mkdir()
    monkeypatch.setenv("HOME", str(home) if folder != "none" else "/proc/nowhere")
    cupy_cache.choose_cache_folder()
    if folder == "fine":
        assert (home / ".cupy" / "kernel_cache").is_dir()
        assert "CUPY_CACHE_DIR" not in os.environ
    else:
        assert Path(os.environ["CUPY_CACHE_DIR"]).is_dir()
        assert os.environ["CUPY_CACHE_IN_MEMORY"] == "1"


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
        ("cudaErrorMpsClientTerminated: the MPS client was terminated", True),
        ("CUDA_ERROR_EXTERNAL_DEVICE: a device of another process", True),
        ("cudaErrorMemoryAllocation: out of memory", False),
        ("cudaErrorInvalidValue: invalid argument", False),
    ],
)
def test_errors_after_which_the_process_is_lost(message: str, sticky: bool) -> None:
    assert is_sticky(message) == sticky


@pytest.mark.skipif(devices.cuda_status()[0], reason="CUDA can be used here")
def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    experiment = Path(__file__).parents[3] / "examples" / "quickstart.toml"
    said = refusal("run", experiment, "-o", tmp_path / "a.zarr", "--backend", "cuda")
    assert said.startswith("backend 'cuda' cannot be used: ")
    assert not (tmp_path / "a.zarr").exists()


def test_what_workers_keep_hides_no_outcome() -> None:
    """A scheduler may be lost at that moment."""
    from tiledsim.scheduler.session.opening.preflight import release_devices

    class Client:
        status = "running"

        def run(self, *_: object, **__: object) -> None:
            raise OSError("Timed out trying to connect")

    release_devices(Client(), "cuda", "float64")


def test_models_of_gpus_are_not_mixed_unless_asked_for() -> None:
    from tiledsim.scheduler.session.opening.preflight import describe_devices

    class Client:
        def run(self, *_: object, **__: object) -> dict[str, dict[str, str]]:
            return {"a": {"device": "H100"}, "b": {"device": "A100"}, "c": {"device": "H100"}}

    with pytest.raises(BackendError, match=r"different GPUs \(A100, H100\), .*`backend=any`"):
        describe_devices(Client(), "cuda", "float64")
    found = describe_devices(Client(), "any", "float64")
    assert [(kind["device"], kind["workers"]) for kind in found] == [("A100", "1"), ("H100", "2")]

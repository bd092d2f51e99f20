"""What the CUDA backend needs of a device, and CuPy's way of doing it.

Nothing else in tiledsim imports CuPy.  The tests put another device behind the same protocol.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiledsim.cupy_cache import choose_cache_folder
from tiledsim.errors import BackendError
from tiledsim.kernels.devices import (
    INSTALL,
    driver_is_too_old,
    version_text,
)

if TYPE_CHECKING:
    import cupy

T = TypeVar("T", bound=np.generic)

LANES: Final = 4
"""Of a device.  Small images of several shots share a card: each has a lane, and a kernel that does
not fill the card runs beside the others."""


class Buffer(Protocol):
    """Memory of a device; it is given back when nothing refers to it."""

    @property
    def address(self) -> int:
        """Where it is, as the kernel sees it."""

    @property
    def nbytes(self) -> int:
        """How large it is."""


class DeviceError(Exception):
    """Something that a device refused or failed to do."""

    def __init__(self, message: str, *, memory: bool = False, lost: bool = False) -> None:
        super().__init__(message)
        self.memory = memory
        """Whether there was too little memory."""
        self.lost = lost
        """Whether the process can do nothing more with the device."""


class Device(Protocol):
    """One GPU with LANES lanes of work; within a lane things happen in order.

    Every method raises DeviceError.  Failures of work in a lane show when it is waited for.
    """

    def build(self, source: str, name: str) -> object:
        """Compile a kernel; what comes back is for :meth:`launch`."""

    def allocate(self, nbytes: int) -> Buffer:
        """Take memory."""

    def upload(self, array: NDArray[np.generic]) -> Buffer:
        """Copy an array into new memory; done when this returns."""

    def send(self, array: NDArray[np.generic], buffer: Buffer, lane: int) -> None:
        """Start copying an array of :meth:`host_array`, which must stay, to a buffer."""

    def launch(
        self, kernel: object, blocks: int, threads: int, parameters: NDArray[np.void], lane: int
    ) -> None:
        """Start a kernel, its one argument a struct by value."""

    def download(self, buffer: Buffer, array: NDArray[np.generic], lane: int) -> None:
        """Start copying the beginning of a buffer to an array of :meth:`host_array`."""

    def mark(self, lane: int) -> object:
        """Put a mark into a lane, after what was started in it."""

    def wait(self, *marks: object) -> None:
        """Wait until the lanes have come to these marks; without any, until they are empty."""

    def seconds(self, first: object, last: object) -> float:
        """Time between two marks that were reached."""

    def host_array(self, shape: tuple[int, ...], dtype: "type[T] | np.dtype[T]") -> NDArray[T]:
        """Make an array of the host that the device can read and write while the host works."""

    def release(self) -> None:
        """Give memory back that is only kept for later."""

    def free_bytes(self) -> int:
        """Memory that is left."""

    def describe(self) -> dict[str, str]:
        """Return device, driver and library versions."""


_STICKY = frozenset(
    {
        "ECCUncorrectable",
        "NvlinkUncorrectable",
        "Contained",
        "IllegalAddress",
        "LaunchTimeout",
        "Assert",
        "HardwareStackError",
        "IllegalInstruction",
        "MisalignedAddress",
        "InvalidAddressSpace",
        "InvalidPc",
        "LaunchFailure",
        "LaunchFailed",
        "DevicesUnavailable",
        "DeviceUnavailable",
        "MpsClientTerminated",
        "ExternalDevice",
        "Unknown",
    }
)
"""After these, every further call in the process fails: its context is gone."""


def is_sticky(message: str) -> bool:
    """Whether the text of a CUDA error, of the runtime or the driver, names one that stays."""
    name = message.split(":")[0].strip()
    plain = name.removeprefix("CUDA_ERROR_").removeprefix("cudaError").replace("_", "").lower()
    return plain in {known.lower() for known in _STICKY}


class _CupyBuffer:
    def __init__(self, memory: "cupy.cuda.MemoryPointer") -> None:
        self.memory = memory

    @property
    def address(self) -> int:
        return int(self.memory.ptr)

    @property
    def nbytes(self) -> int:
        return int(self.memory.mem.size)


class CupyDevice:
    """The GPU that CuPy uses in this process: the first that CUDA_VISIBLE_DEVICES allows."""

    def __init__(self) -> None:
        choose_cache_folder()
        try:
            import cupy
        except Exception as error:  # a broken installation raises more than ImportError
            raise BackendError(f"CuPy cannot be imported ({error}); {INSTALL}") from None
        self._cupy = cupy
        with self._errors():
            if problem := driver_is_too_old(cupy):
                raise DeviceError(problem)
            if cupy.cuda.runtime.getDeviceCount() == 0:
                raise DeviceError("CUDA sees no device")
            self._lanes = [cupy.cuda.Stream(non_blocking=True) for _ in range(LANES)]
            self._uploads = cupy.cuda.Stream(non_blocking=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        cuda = self._cupy.cuda
        try:
            yield
        except (
            MemoryError
        ) as error:  # CuPy's own, or that of an allocator that was put in its place
            raise DeviceError(str(error) or "out of memory", memory=True) from error
        except (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError) as error:
            said = str(error)
            memory = "cudaErrorMemoryAllocation" in said or "CUDA_ERROR_OUT_OF_MEMORY" in said
            raise DeviceError(said, memory=memory, lost=is_sticky(said)) from error

    def build(self, source: str, name: str) -> "cupy.RawKernel":
        """Compile with NVRTC; CuPy keeps the machine code on disk for later processes."""
        try:
            return self._compiled(source, name)
        except OSError:  # the folder of kernels is full, or cannot be written any more
            os.environ["CUPY_CACHE_IN_MEMORY"] = "1"
        try:
            return self._compiled(source, name)
        except OSError as error:
            raise DeviceError(f"NVRTC cannot be loaded ({error}); {INSTALL}") from error

    def _compiled(self, source: str, name: str) -> "cupy.RawKernel":
        try:
            with self._errors():
                kernel = self._cupy.RawKernel(source, name, options=("-std=c++17",))
                kernel.compile()
                return kernel
        except self._cupy.cuda.compiler.CompileException as error:
            raise DeviceError(f"the kernel does not compile: {error}") from error
        except OSError:
            raise
        except (ImportError, RuntimeError) as error:  # NVRTC itself is not there
            raise DeviceError(f"NVRTC cannot be loaded ({error}); {INSTALL}") from error

    def allocate(self, nbytes: int) -> Buffer:
        """Take memory of CuPy's pool."""
        with self._errors():
            return _CupyBuffer(self._cupy.cuda.alloc(nbytes))

    def upload(self, array: NDArray[np.generic]) -> Buffer:
        """Copy an array to the device; the array may change once this returns."""
        buffer, source = self.allocate(max(array.nbytes, 1)), np.ascontiguousarray(array)
        with self._errors():
            buffer.memory.copy_from_host_async(  # type: ignore[attr-defined]
                source.ctypes.data, source.nbytes, self._uploads
            )
            self._uploads.synchronize()  # the lanes go on meanwhile
        return buffer

    def send(self, array: NDArray[np.generic], buffer: Buffer, lane: int) -> None:
        """Start copying to the device."""
        with self._errors():
            buffer.memory.copy_from_host_async(  # type: ignore[attr-defined]
                array.ctypes.data, array.nbytes, self._lanes[lane]
            )

    def launch(
        self,
        kernel: "cupy.RawKernel",
        blocks: int,
        threads: int,
        parameters: NDArray[np.void],
        lane: int,
    ) -> None:
        """Start a kernel in a stream."""
        with self._errors(), self._lanes[lane]:
            kernel((blocks,), (threads,), (parameters,))

    def download(self, buffer: Buffer, array: NDArray[np.generic], lane: int) -> None:
        """Start copying to pinned memory."""
        with self._errors():
            buffer.memory.copy_to_host_async(  # type: ignore[attr-defined]
                array.ctypes.data, array.nbytes, self._lanes[lane]
            )

    def mark(self, lane: int) -> "cupy.cuda.Event":
        """Record an event."""
        with self._errors():
            event = self._cupy.cuda.Event(block=True)  # else waiting keeps a core busy
            event.record(self._lanes[lane])
            return event

    def wait(self, *marks: "cupy.cuda.Event") -> None:
        """Wait for events, or for what both streams have to do, without the GIL."""
        waited = marks or tuple(self.mark(lane) for lane in range(len(self._lanes)))
        with self._errors():
            for event in waited:
                event.synchronize()

    def seconds(self, first: "cupy.cuda.Event", last: "cupy.cuda.Event") -> float:
        """Time between two events."""
        with self._errors():
            return float(self._cupy.cuda.get_elapsed_time(first, last)) / 1000.0

    def host_array(self, shape: tuple[int, ...], dtype: "type[T] | np.dtype[T]") -> NDArray[T]:
        """Make an array in pinned memory, which returns to CuPy's pool with the array.

        Where the host has no more of that, it is ordinary memory: copies then take longer.
        """
        kind = np.dtype(dtype)
        count = int(np.prod(shape))
        try:
            with self._errors():
                memory = self._cupy.cuda.alloc_pinned_memory(max(kind.itemsize * count, 1))
        except DeviceError as error:
            if not error.memory:
                raise
            self._cupy.get_default_pinned_memory_pool().free_all_blocks()
            return np.empty(shape, kind)
        return np.frombuffer(memory, dtype=kind, count=count).reshape(shape)

    def release(self) -> None:
        """Empty CuPy's pools."""
        with self._errors():
            self._cupy.get_default_memory_pool().free_all_blocks()
            self._cupy.get_default_pinned_memory_pool().free_all_blocks()

    def free_bytes(self) -> int:
        """Memory that the driver has, and what the pool keeps."""
        with self._errors():
            free, _ = self._cupy.cuda.runtime.memGetInfo()
            return int(free) + int(self._cupy.get_default_memory_pool().free_bytes())

    def describe(self) -> dict[str, str]:
        """Return the card's name and what drives it."""
        runtime = self._cupy.cuda.runtime
        with self._errors():
            properties = runtime.getDeviceProperties(runtime.getDevice())
            major, minor = properties["major"], properties["minor"]
            return {
                "device": properties["name"].decode(),
                "compute capability": f"{major}.{minor}",
                "memory": f"{properties['totalGlobalMem'] / 2**30:.1f} GiB",
                "driver": version_text(runtime.driverGetVersion()),
                "cuda": version_text(runtime.runtimeGetVersion()),
                "cupy": str(self._cupy.__version__),
            }

"""Two traces of one pixel, key by key."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tiledsim.errors import InputFileError
from tiledsim.parity.read_log import ORDER, TraceLog, finite

Status = Literal["match", "minor", "divergent", "missing"]
MINOR = 0.01
"""Below this relative difference a key that is out of tolerance is called minor."""
ROUNDING = 1e-14
"""Components of a vector below this fraction of its length are rounding beside the others."""


@dataclass(frozen=True)
class KeyComparison:
    """One key in both logs."""

    key: str
    c: list[float] | None
    py: list[float] | None
    abs_delta: float | None
    rel_delta: float | None
    status: Status
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two traces compared."""

    keys: tuple[KeyComparison, ...]
    tolerance: float
    notes: tuple[str, ...]

    @property
    def first_divergence(self) -> str | None:
        """The first key, in the order of the trace, that is out of tolerance."""
        out = (k.key for k in self.keys if k.status in ("minor", "divergent"))
        return next(out, None)

    @property
    def n_compared(self) -> int:
        """Keys that both logs have."""
        return sum(k.status != "missing" for k in self.keys)

    @property
    def n_missing(self) -> int:
        """Keys that one log has not."""
        return sum(k.status == "missing" for k in self.keys)

    def metrics(self) -> dict[str, Any]:
        """Return the comparison as plain data; numbers that JSON has not are words."""
        return {
            "first_divergence": self.first_divergence,
            "tolerance": self.tolerance,
            "n_compared": self.n_compared,
            "n_missing": self.n_missing,
            "notes": list(self.notes),
            "keys": {k.key: _plain({n: v for n, v in asdict(k).items() if n != "key"})
                     for k in self.keys},
        }  # fmt: skip

    def __getitem__(self, key: str) -> KeyComparison:
        """Return the comparison of one key."""
        return next(k for k in self.keys if k.key == key)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def compare(
    c: TraceLog, py: TraceLog, *, rtol: float = 1e-6, atol_zero: float = 1e-12
) -> Comparison:
    """Compare two traces of one pixel.

    A number matches within ``rtol`` relative, or within ``atol_zero`` where the reference is 0;
    the components of a vector each by themselves, unless they are rounding beside its length.
    Raises InputFileError for traces of different pixels.
    """
    _same_pixel(c, py)
    keys = []
    for key in ORDER:
        in_c = key in c.values or key in c.unreadable
        in_py = key in py.values or key in py.unreadable
        if in_c or in_py:
            keys.append(_compare_key(key, c, py, rtol, atol_zero))
    found = Comparison(tuple(keys), rtol, _notes(c, py))
    return _after_polarization(found, c, py, rtol)


def _same_pixel(c: TraceLog, py: TraceLog) -> None:
    if c.pixel and py.pixel and c.pixel != py.pixel:
        raise InputFileError(
            f"the logs are of different pixels: C of slow {c.pixel[0]}, fast {c.pixel[1]}, PY of "
            f"slow {py.pixel[0]}, fast {py.pixel[1]}; trace the same one"
        )
    if c.pixel and py.pixel:
        return
    at_c, at_py = c.values.get("pixel_pos_meters"), py.values.get("pixel_pos_meters")
    same_detector = all(
        key in c.values and key in py.values and math.dist(c.values[key], py.values[key]) < 1e-9
        for key in ("pix0_vector_meters", "fdet_vec", "sdet_vec")
    )
    if at_c and at_py and same_detector and math.dist(at_c, at_py) > 1e-6:
        raise InputFileError(
            "the logs are of different pixels: the detectors are the same, but pixel_pos_meters is "
            f"{at_c} in C and {at_py} in PY; trace the same one"
        )


def _compare_key(
    key: str, c: TraceLog, py: TraceLog, rtol: float, atol_zero: float
) -> KeyComparison:
    a, b = c.values.get(key), py.values.get(key)
    if a is None or b is None:
        absent = "C" if a is None else "PY"
        log = c if a is None else py
        note = f"unreadable in {absent}: {log.unreadable[key]}" if key in log.unreadable else (
            f"not in {absent}")  # fmt: skip
        return KeyComparison(
            key, list(a) if a else None, list(b) if b else None, None, None, "missing", note
        )
    absolute, relative, inside = 0.0, 0.0, True
    length = math.hypot(*a) if finite(a) else math.inf
    for x, y in zip(a, b, strict=True):
        if not (math.isfinite(x) and math.isfinite(y)):
            same = (math.isnan(x) and math.isnan(y)) or x == y
            if not same:
                absolute = relative = math.inf
                inside = False
            continue
        delta = abs(x - y)
        rounding = len(a) > 1 and max(abs(x), abs(y)) <= ROUNDING * length
        scale = length if rounding else abs(x)
        part = delta / scale if scale else (0.0 if delta <= atol_zero else math.inf)
        absolute, relative = max(absolute, delta), max(relative, part)
        inside = inside and part <= rtol
    status: Status = "match" if inside else "minor" if relative < MINOR else "divergent"
    return KeyComparison(key, list(a), list(b), absolute, relative, status)


def _notes(c: TraceLog, py: TraceLog) -> tuple[str, ...]:
    notes = []
    for name, log in (("C", c), ("PY", py)):
        if log.blocks > 1:
            notes.append(
                f"{name}: {log.blocks} complete traces in the log; the last one is compared"
            )
        if not log.blocks:
            notes.append(f"{name}: the trace is not complete")
        if log.evaluations > 1:
            notes.append(
                f"{name}: {log.evaluations} evaluations of the pixel; the last is compared"
            )
    return tuple(notes)


def _after_polarization(found: Comparison, c: TraceLog, py: TraceLog, rtol: float) -> Comparison:
    """Recognise an I_before_scaling that was recorded after polarization."""
    key, polar = "I_before_scaling", c.values.get("polar") or py.values.get("polar")
    a, b = c.values.get(key), py.values.get(key)
    if not (a and b and polar) or not finite((*a, *b, *polar)) or not (a[0] and b[0] and polar[0]):
        return found
    if abs(a[0] - b[0]) <= rtol * abs(a[0]) or abs(1.0 - polar[0]) <= rtol:
        return found
    for name, ratio in (("PY", b[0] / a[0]), ("C", a[0] / b[0])):
        if abs(ratio - polar[0]) <= rtol * abs(polar[0]):
            note = f"recorded after polarization in {name}: the ratio is polar"
            keys = tuple(
                KeyComparison(k.key, k.c, k.py, k.abs_delta, k.rel_delta, "match", note)
                if k.key == key else k
                for k in found.keys
            )  # fmt: skip
            return Comparison(keys, found.tolerance, (*found.notes, f"{key}: {note}"))
    return found

"""A frozen piece of an experiment, and the kinds of values that its fields hold.

Values are taken for what they are: ``true`` is no number and ``"1.0"`` is a text.  Numbers that are
finite but so large or small that their squares and products are not, are refused here, where the
key is known.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tiledsim.errors import InputFileError
from tiledsim.io.paths import user_path

SMALLEST: Final = 1e-15
LARGEST: Final = 1e15
"""Numbers that a person writes are no larger; lengths and the like are no smaller."""
BRIGHTEST: Final = 1e60
"""The largest fluence and flux."""


def not_true(value: Any) -> Any:
    """Refuse what Python would take for a number and a person would not: true, "1.0"."""
    if isinstance(value, bool | str | bytes):
        raise PydanticCustomError("number_type", "not a number")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, float) and not value.is_integer():
        raise PydanticCustomError("number_type", "not a whole number")
    return not_true(value)


def _within_reason(value: float) -> float:
    if not math.isfinite(value):
        raise PydanticCustomError("finite_number", "not finite")
    if abs(value) > LARGEST:
        raise PydanticCustomError("beyond_reason", f" and of at most {LARGEST:g}")
    return value


def _not_too_small(value: float) -> float:
    if 0 < value < SMALLEST:
        raise PydanticCustomError("beyond_reason", f" and of at least {SMALLEST:g}")
    return value


def _axis(value: tuple[float, float, float]) -> tuple[float, float, float]:
    if not any(value):
        raise PydanticCustomError("length_0", " that are not all 0: it is a direction")
    return value


def _home(path: Path) -> Path:
    try:
        return user_path(path)
    except InputFileError as error:
        raise ValueError(str(error)) from None


_FINITE = Field(allow_inf_nan=False)
Real = Annotated[float, BeforeValidator(not_true), AfterValidator(_within_reason), _FINITE]
Positive = Annotated[
    float,
    BeforeValidator(not_true),
    AfterValidator(_within_reason),
    AfterValidator(_not_too_small),
    Field(gt=0, allow_inf_nan=False),
]
NotNegative = Annotated[
    float,
    BeforeValidator(not_true),
    AfterValidator(_within_reason),
    Field(ge=0, allow_inf_nan=False),
]
Brightness = Annotated[
    float, BeforeValidator(not_true), Field(ge=0, le=BRIGHTEST, allow_inf_nan=False)
]
Value = Annotated[
    float, BeforeValidator(not_true), Field(ge=-BRIGHTEST, le=BRIGHTEST, allow_inf_nan=False)
]
"""Of any field, a fluence too; the field's own limits are checked elsewhere."""
Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, BeforeValidator(_whole), Field(ge=-(10**50), le=10**50)]
Switch = Annotated[bool, Field(strict=True)]
Vector = tuple[Real, Real, Real]
Axis = Annotated[Vector, AfterValidator(_axis)]
"""A direction; its length has no meaning and must not be 0."""
File = Annotated[Path, AfterValidator(_home)]
"""The name of a file; ``~`` stands for the home."""
Convention = Literal["mosflm", "denzo", "adxv", "xds", "dials", "custom"]
Pivot = Literal["beam", "sample"]
Shape = Literal["square", "round", "gauss", "tophat"]


class Part(BaseModel):
    """A frozen piece of an experiment that knows its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

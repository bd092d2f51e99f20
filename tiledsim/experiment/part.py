"""A frozen piece of an experiment, and the kinds of numbers that its fields hold."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Real = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Vector = tuple[Real, Real, Real]
Convention = Literal["mosflm", "denzo", "adxv", "xds", "dials", "custom"]
Pivot = Literal["beam", "sample"]
Shape = Literal["square", "round", "gauss", "tophat"]


class Part(BaseModel):
    """A frozen piece of an experiment that knows its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _axes_are_not_zero(self) -> Self:
        for name, field in type(self).model_fields.items():
            if "axis" in name or name in ("direction", "normal"):
                value = getattr(self, name)
                if value is not None and not any(value):
                    raise ValueError(f"{name} has length 0 ({field.description or 'a direction'})")
        return self

"""The rotation of the crystal about the spindle."""

from typing import Self

from pydantic import model_validator

from tiledsim.experiment.sections.part import Axis, Count, NotNegative, Part, Positive, Real

FRAME_STEPS = 10
"""φ steps that a frame of a series is made of where ``steps`` is not given."""


class Rotation(Part):
    """The rotation of the crystal about the spindle during the exposure, or a series of them.

    With ``frames`` the shots of a run are that many exposures, each of ``step_deg``, that follow
    each other without a gap from ``start_deg`` on; ``steps`` is then the φ steps within a frame.
    """

    start_deg: Real = 0.0
    """Of the spindle, where the exposure begins."""
    range_deg: NotNegative | None = None
    """Turned during the exposure."""
    step_deg: Positive | None = None
    """Between φ steps, or of each frame of a series."""
    steps: Count | None = None
    """φ steps of the exposure, or within a frame."""
    axis: Axis | None = None
    """The spindle; of the convention by default."""
    frames: Count | None = None
    """Exposures of a series, each of step_deg."""

    @model_validator(mode="after")
    def _frames_have_a_width(self) -> Self:
        if self.frames is not None and self.range_deg is not None:
            raise ValueError(
                "frames and range_deg are both given; a series is frames of step_deg each"
            )
        if self.frames is not None and self.step_deg is None:
            raise ValueError("step_deg is not given: frames need the angle of each")
        return self

    def frame_start_deg(self, frame: int) -> float:
        """Return the angle of the spindle [deg] where a frame begins."""
        return self.start_deg + frame * (self.step_deg or 0.0)

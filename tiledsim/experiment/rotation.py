"""The rotation of the crystal about the spindle."""

from tiledsim.experiment.part import Axis, Count, NotNegative, Part, Positive, Real


class Rotation(Part):
    """The rotation of the crystal about the spindle during the exposure."""

    start_deg: Real = 0.0
    range_deg: NotNegative | None = None
    step_deg: Positive | None = None
    steps: Count | None = None
    axis: Axis | None = None

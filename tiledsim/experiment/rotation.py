"""The rotation of the crystal about the spindle."""

from tiledsim.experiment.part import Part, Real, Vector


class Rotation(Part):
    """The rotation of the crystal about the spindle during the exposure."""

    start_deg: Real = 0.0
    range_deg: Real | None = None
    step_deg: Real | None = None
    steps: int | None = None
    axis: Vector | None = None

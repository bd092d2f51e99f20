"""What scatters besides the crystal."""

from tiledsim.experiment.part import NotNegative, Part


class Background(Part):
    """Scattering from a drop of water."""

    water_um: NotNegative = 0.0

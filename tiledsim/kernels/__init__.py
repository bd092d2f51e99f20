"""The kernels that render tiles, and the choice between them."""

from tiledsim.kernels.choice import Backend as Backend
from tiledsim.kernels.choice import choose_backend_name as choose_backend_name
from tiledsim.kernels.choice import get_backend as get_backend

__all__ = ["Backend", "choose_backend_name", "get_backend"]

"""The command ``tiledsim`` with workers whose tiles take as long as TILEDSIM_TEST_FAULTS says."""

from functools import partial

from tests.distributed.fakes import faulty_render_tiles
from tiledsim.cli import main as command
from tiledsim.scheduler import launch
from tiledsim.scheduler.session.collaborators import Collaborators


def main() -> None:
    """Be the command."""
    launch.Collaborators = partial(Collaborators, task=faulty_render_tiles)  # type: ignore[misc, assignment]
    command.main()


if __name__ == "__main__":
    main()

"""What a session works with, so that tests can give it other ones."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tiledsim.scheduler.journal.tile_record import Outcome
from tiledsim.scheduler.session.task import Job, render_tiles
from tiledsim.scheduler.store.layout import Layout, Sized, choose_layout

Task = Callable[[Job, Iterable[tuple[int, int]]], list[Outcome]]
"""What workers do with the tiles of a batch; importable by them."""


@dataclass(frozen=True)
class Collaborators:
    """The parts of a run that are chosen by whoever starts it."""

    task: Task = render_tiles
    cut: Callable[[Sized, tuple[int, int] | None], Layout] = choose_layout

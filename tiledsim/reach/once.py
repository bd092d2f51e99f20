"""What is worked out of a scene once, and forgotten with it."""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import TypeVar
from weakref import WeakKeyDictionary

from tiledsim.scene import Scene

T = TypeVar("T")

_LOCK = RLock()


def once(function: Callable[[Scene], T]) -> Callable[[Scene], T]:
    """Keep what a function returns of a scene as long as the scene lives."""
    known: WeakKeyDictionary[Scene, T] = WeakKeyDictionary()

    @wraps(function)
    def kept(scene: Scene) -> T:
        with _LOCK:
            if scene not in known:
                known[scene] = function(scene)
            return known[scene]

    return kept

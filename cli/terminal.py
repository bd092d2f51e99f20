"""What is printed: free of control characters, and in letters that the terminal has."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from tiledsim.io.printable import printable


class PlainStream:
    """A stream that lets no character through which a terminal would obey.

    Texts from files reach the terminal through it whichever command prints them.  What draws with
    escape sequences on purpose (progress, ``watch``) writes to ``drawing`` and hands its texts to
    :func:`printable` itself.
    """

    def __init__(self, drawing: TextIO) -> None:
        self.drawing = drawing

    def write(self, text: str) -> int:
        """Write a text; what the encoding cannot express is written in its letters."""
        self.drawing.write(printable(text, self.drawing.encoding or "utf-8"))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.drawing, name)


def drawing_stream(stream: TextIO) -> TextIO:
    """Return the stream beneath a plain one, to draw on."""
    return cast(TextIO, getattr(stream, "drawing", stream))


@contextmanager
def plain_streams() -> Iterator[None]:
    """Make standard output and standard error plain while a command runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, PlainStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before

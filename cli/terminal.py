"""What is printed: free of control characters, and in letters that the terminal has."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOBase
from typing import Any, TextIO

from tiledsim.io.printable import printable


class PlainStream(TextIOBase):
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

    def flush(self) -> None:
        """Write what is held back."""
        self.drawing.flush()

    def close(self) -> None:
        """Close the stream beneath."""
        self.drawing.close()

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return self.drawing.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream beneath."""
        return self.drawing.fileno()

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.drawing, name)


def drawing_stream(stream: TextIO) -> TextIO:
    """Return the stream beneath a plain one, to draw on."""
    return stream.drawing if isinstance(stream, PlainStream) else stream


@contextmanager
def plain_streams() -> Iterator[None]:
    """Make standard output and standard error plain while a command runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (PlainStream(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before

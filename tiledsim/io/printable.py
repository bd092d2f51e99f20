"""Text that may come from a file, made fit for a terminal.

A terminal obeys some characters instead of showing them: it can be told to change its title, to
clear what was said before, or to answer with keystrokes.  None of them may pass.
"""

import re
from typing import Final

_OBEYED: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Control characters but tab and line feed, marks that turn the direction of writing, lone halves
of surrogate pairs, and separators that some programs take for the end of a line."""

_PLAIN: Final = str.maketrans(
    {
        "Å": "A", "µ": "u", "μ": "u", "φ": "phi", "λ": "lambda", "θ": "theta", "Δ": "d", "Σ": "sum",
        "·": ".", "×": "x", "…": "...", "²": "^2", "³": "^3", "±": "+-", "≤": "<=", "≥": ">=",
        "–": "-", "—": "-", "−": "-", "’": "'", "░": ".", "▒": "+", "▓": "*", "█": "#",
        "Φ": "Phi", "→": "->", "°": " deg", "σ": "sigma", "π": "pi", "≈": "~", "⁻": "^-", "¹": "1",
    }
)  # fmt: skip


def printable(text: str, encoding: str | None = None) -> str:
    """Return ``text`` with each character that a terminal would obey written as its escape.

    Tabs and line feeds stay.  With ``encoding``, what it cannot express is written in its letters
    where that is readable (``A`` for ``Å``), else as an escape.
    """
    shown = _OBEYED.sub(_escape, text)
    if encoding is None:
        return shown
    try:
        shown.encode(encoding)
    except UnicodeEncodeError:
        return shown.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return shown.translate(_PLAIN).encode("ascii", "backslashreplace").decode("ascii")
    return shown


def one_line(text: str, longest: int = 2000) -> str:
    """Return ``text`` printable and on one line, cut to ``longest`` characters."""
    line = printable(" ".join(text.split("\n")).replace("\t", " "))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape", "surrogatepass").decode("ascii")

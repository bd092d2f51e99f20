"""What stands in the project's pages to be typed or copied: commands, TOML and Python."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


class Block(NamedTuple):
    """Something to copy."""

    where: str
    """Page and line."""
    kind: str
    """The language of a fenced block; "" for an indented one and for none."""
    text: str

    @property
    def in_tutorial(self) -> bool:
        """Whether it is one step of many, which go from the first to the last."""
        return self.where.startswith("docs/tutorials/")


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced and indented blocks of a page."""
    lines = page.read_text().splitlines()
    n = 0
    while n < len(lines):
        start, fence = n + 1, re.match(r"^\s*```(\w*)", lines[n])
        if fence:
            n += 1
            while not lines[n].strip().startswith("```"):
                n += 1
            text, kind = "\n".join(lines[start:n]), fence[1]
        elif lines[n].startswith("    ") and (n == 0 or not lines[n - 1].strip()):
            while n + 1 < len(lines) and (lines[n + 1].startswith("    ") or not lines[n + 1]):
                n += 1
            text, kind = "\n".join(lines[start - 1 : n + 1]), ""
        else:
            n += 1
            continue
        yield Block(f"{page.relative_to(ROOT)}:{start}", kind, textwrap.dedent(text).strip("\n"))
        n += 1


def commands() -> list[Block]:
    """Return each line of a block that calls tiledsim or a benchmark, without its prompt."""
    return [command for page in PAGES for block in blocks(page) for command in typed(block)]


def typed(block: Block) -> list[Block]:
    """Return the commands of a block, none for TOML, Python or what was printed."""
    if block.kind not in ("", "console"):
        return []
    return [
        Block(block.where, "command", part)
        for line in re.sub(r"\\\n\s*", "", block.text).splitlines()
        for part in re.split(r"\s+(?:&&|\|)\s+", re.sub(r"\s+#.*", "", line.removeprefix("$ ")))
        if re.match(r"tiledsim |python benchmarks/", part)
    ]


def of_kind(kind: str) -> list[Block]:
    """Return the blocks of a language; tables of TOML may be indented instead of fenced."""
    found = [block for page in PAGES for block in blocks(page)]
    if kind == "toml":
        return [b for b in found if b.kind == kind or (not b.kind and b.text.startswith("["))]
    return [block for block in found if block.kind == kind]


def mentioned() -> set[tuple[str, str]]:
    """Return page and name of every command that a sentence names as ```tiledsim NAME```."""
    pattern = re.compile(r"`tiledsim ([a-z_]+)")
    return {(page.name, name) for page in PAGES for name in pattern.findall(page.read_text())}

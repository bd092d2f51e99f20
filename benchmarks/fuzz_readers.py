"""Spoiled files for every reader, for as long as one likes: what the tests do briefly.

    python benchmarks/fuzz_readers.py --seconds 120 --seed 1

Prints how many files each reader was handed, and its slowest (processor time).  The exit status is
1 if anything but the reader's own error came out, or a file took more than 5 s of it.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.unit.readers.hostile_readers import TARGETS, Target, splice

LONGEST_S = 5.0


def spoil(target: Target, draw: random.Random) -> bytes:
    """Return one of a target's files with up to six pieces replaced."""
    edits = []
    for _ in range(draw.randint(1, 6)):
        piece = draw.randbytes(draw.randint(0, 12))
        if target.words and draw.random() < 0.5:
            piece = draw.choice(target.words)
        edits.append((draw.random(), draw.choice((0, 1, len(piece), draw.randint(0, 60))), piece))
    return splice(draw.choice(target.seeds), edits)


def main() -> int:
    """Go over the targets in turn until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    draw = random.Random(chosen.seed)
    tried: Counter[str] = Counter()
    slowest: dict[str, float] = {}
    wrong = 0
    end = time.monotonic() + chosen.seconds
    with tempfile.TemporaryDirectory() as scratch:
        while time.monotonic() < end:
            for name, target in TARGETS.items():
                data = spoil(target, draw)
                start = time.process_time()
                try:
                    target.try_bytes(Path(scratch), data)
                except Exception:
                    wrong += 1
                    print(f"{name}: {data[:2000]!r}\n{traceback.format_exc()}", file=sys.stderr)
                took = time.process_time() - start
                tried[name] += 1
                slowest[name] = max(slowest.get(name, 0.0), took)
                if took > LONGEST_S:
                    wrong += 1
                    print(f"{name}: {took:.1f} s for {data[:2000]!r}", file=sys.stderr)
    for name, count in tried.items():
        print(f"{name:20} {count:>9,} files, slowest {slowest[name]:.3f} s")
    print(f"{sum(tried.values()):,} files, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

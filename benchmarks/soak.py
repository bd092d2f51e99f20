"""Randomised fault runs: every one must end with the bytes and the summary of an undisturbed run.

    python benchmarks/soak.py --runs 200 --seed 1 --jobs 2

Three sorts of runs.  In the first a client and two worker processes are disturbed; half of these
have a scheduler of their own, in a third process.  The seed of a run chooses its fault, sometimes a
second one, and their moments; a run that a fault ended is resumed until it finishes, and each time
what it has recorded is read back.  In the second sort tasks outlive their client while the store is
overwritten, repaired, deleted, moved.  In the third a driver falls asleep at one of its writes, and
wakes when another has the store.  Half of the second and third are in an object store, moto's.

Prints a line a run and a table by kind of fault, which counts only faults that met a living run;
exits with status 1 if any run differs.  ``--only SEED`` repeats one, ``--kind NAME`` keeps to one
kind, and ``--keep`` leaves what was written of a run that was wrong.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from faults import processes

processes.prepare()

from faults import asleep, child, late, objects, running  # noqa: E402  environment first
from faults.outcome import outcome  # noqa: E402
from faults.small_disk import why_no_mount  # noqa: E402

KINDS = (*running.KINDS, *late.CHANGES, *asleep.KINDS)


def undisturbed(scratch: Path) -> dict[str, Any]:
    """Return what each experiment comes to."""
    expected = {}
    for experiment in child.EXPERIMENTS:
        store = scratch / f"{experiment}.zarr"
        about = {"experiment": experiment, "store": str(store), "how": {"threads": 1}}
        with processes.started(child.render, scratch / f"{experiment}.log", about) as client:
            if client.wait(300) != 0:
                raise RuntimeError(client.log.read_text())
        expected[experiment] = outcome(store)
    return expected


def disturbed(run: running.Run, expected: dict[str, Any]) -> None:
    """Make one run of any sort; an error of the soak itself counts as wrong."""
    (kind, *_) = run.faults
    try:
        if kind in running.KINDS:
            running.disturbed_run(run, expected)
        elif kind in late.CHANGES:
            late.late_run(run, expected)
        else:
            asleep.asleep_run(run, expected)
    except Exception as error:
        run.wrong = run.wrong or f"{type(error).__name__}: {error}"


def table(runs: list[running.Run]) -> str:
    """Count faults by kind: how many were drawn, how many met a living run."""
    lines = [f"{'fault':50}{'drawn':>7}{'met':>7}{'wrong':>7}"]
    for kind in KINDS:
        drawn = [run for run in runs if kind in run.faults]
        if drawn:
            met, wrong = (sum(map(bool, found)) for found in (
                [run.met[kind] for run in drawn], [run.wrong for run in drawn]))  # fmt: skip
            lines.append(f"{kind:50}{len(drawn):7}{met:7}{wrong:7}")
    return "\n".join(lines)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeat the run of one seed")
    parser.add_argument("--kind", action="append", choices=KINDS, help="draw these faults only")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--seconds", type=float, help="start no run after so long")
    parser.add_argument("--folders-only", action="store_true", help="no object store")
    parser.add_argument("--keep", type=Path, help="a folder for what is left of runs gone wrong")
    return parser.parse_args()


def main() -> int:
    """Make the runs that are asked for."""
    asked = options()
    seeds = range(asked.seed, asked.seed + asked.runs)
    if asked.only is not None:
        seeds = range(asked.only, asked.only + 1)
    kinds = list(asked.kind or KINDS)
    runs: list[running.Run] = []
    began = time.monotonic()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiledsim-soak-")))
        if not asked.folders_only:
            os.environ |= stack.enter_context(objects.server(scratch / "s3"))
        if "full disk" in kinds and (why := why_no_mount(scratch)):
            print(f"full disk: left out, this machine gives no small disk: {why}")
            kinds.remove("full disk")
        expected = undisturbed(scratch)

        def one(seed: int) -> None:
            if asked.seconds and time.monotonic() - began > asked.seconds:
                return
            start = time.monotonic()
            run = running.plan_run(seed, scratch, kinds)
            if not asked.folders_only and run.draw.random() < 0.5:
                run.bucket = "s3://soak" if run.faults[0] not in running.KINDS else ""
            disturbed(run, expected)
            runs.append(run)
            if run.wrong and asked.keep:
                shutil.copytree(run.folder, asked.keep / str(seed), dirs_exist_ok=True)
            said = ", ".join(f"{f}: {'met' if run.met[f] else 'too late'}" for f in run.faults)
            what = f"DIFFERENT: {run.wrong}" if run.wrong else "same"
            where = ", object store" if run.bucket else ""
            took = time.monotonic() - start
            print(f"seed {seed}: {what}: {said}{where}; {run.sessions} sessions, {took:.1f} s",
                  flush=True)  # fmt: skip

        pool = ThreadPoolExecutor(asked.jobs)
        try:
            list(pool.map(one, seeds))
        finally:
            pool.shutdown(cancel_futures=True)
    wrong = sorted(run.seed for run in runs if run.wrong)
    met = sum(any(run.met.values()) for run in runs)
    print(table(runs))
    seconds = time.monotonic() - began
    print(f"{len(runs)} runs in {seconds:.0f} s, the fault met {met} of them, {len(wrong)} wrong")
    if wrong:
        print(f"wrong seeds: {wrong}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

"""Keeps a run's jobs coming: watches the queue, replaces jobs that ended, says what SLURM said."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tiledsim.scheduler.cluster.slurm import queue
from tiledsim.scheduler.cluster.slurm.queue import State
from tiledsim.scheduler.cluster.slurm.script import Leaving
from tiledsim.scheduler.cluster.supply import News

TICK_SECONDS = 1.0
"""So often it is looked whether workers came or went, which is no question to SLURM."""
LOOK_SECONDS = (1.0, 30.0)
"""SLURM is asked this often after something has changed, and ever less often while nothing does."""
PATIENCE_SECONDS = 15.0
"""Jobs that wait for longer are spoken of."""
REMIND_SECONDS = 300.0
"""While jobs wait it is said so often why."""
USEFUL_SECONDS = 300.0
"""A job that had workers for so long was no failure, however it ended."""
FUTILE_JOBS = 3
"""So many replacements, one after the other, may end before a worker of theirs comes."""
SHORT_JOBS_EACH = 3
"""So many times the number of jobs may end soon after their workers came."""
REFUSED_SECONDS = 60.0
"""After SLURM took no more jobs it is tried again."""
AT_ONCE = 8
"""Commands of SLURM that run beside each other."""
TOLD_AT_ONCE = 3
"""Of jobs that ended together so many are described; the others are counted."""


@dataclass
class _Job:
    number: str
    replaces: bool
    known: State = field(default_factory=lambda: State("PENDING"))
    queued: float = field(default_factory=time.monotonic)
    began: float | None = None
    """When it was first seen to run."""
    worked: float | None = None
    """When its first worker was seen."""
    unseen: int = 0
    """Times that SLURM did not know it."""

    @property
    def waits(self) -> bool:
        return self.began is None


class Jobs:
    """So many jobs of one script.  A thread keeps them; :meth:`close` ends them."""

    def __init__(
        self, script: Path, wanted: int, *, workers: Callable[[], set[str]],
        note: Callable[[str], None], leaving: Leaving | None = None,
    ) -> None:  # fmt: skip
        """``workers`` returns the jobs that have workers, ``note`` is told of each new job."""
        self._script = script
        self._wanted = wanted
        self._workers = workers
        self._note = note
        self._leaving = leaving
        self._jobs: list[_Job] = []
        self._ended: Counter[str] = Counter()
        self._last_end = ""
        self._futile = self._short = 0
        self._had_any = False
        self._refusal = ""
        self._refused = -REFUSED_SECONDS
        self._wait_seconds = 60.0
        self._silent = False
        self._said = ""
        self._said_at = 0.0
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._state = ""
        self._new = False
        self._over = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="slurm-jobs", daemon=True)

    def start(self) -> None:
        """Submit the jobs, and begin to keep them."""
        self._thread.start()

    def close(self) -> None:
        """End all jobs."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(queue.ANSWER_SECONDS)
        queue.cancel([job.number for job in self._jobs])

    def news(self) -> News | None:
        """Return what is new since the last call; None where nothing is."""
        with self._lock:
            if not self._new:
                return None
            news = News(self._state, tuple(self._lines))
            self._lines, self._new = [], False
            return news

    def why_over(self) -> str:
        """Say why no worker will come any more; empty while some may."""
        with self._lock:
            return self._over

    def _tell(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)
            self._new = True

    def _keep(self) -> None:
        """Look after the jobs until they are ended.  The thread."""
        pause, there = LOOK_SECONDS[0], -1
        looked = -pause
        while not self._stop.is_set():
            try:
                now, present = time.monotonic(), self._workers()
                if len(present) != there:
                    there, pause = len(present), LOOK_SECONDS[0]
                if now - looked >= pause:
                    looked = now
                    changed = self.look(present)
                    pause = LOOK_SECONDS[0] if changed else min(1.5 * pause, LOOK_SECONDS[1])
            except Exception as error:  # the thread is all that brings workers: it goes on
                self._tell(f"SLURM's jobs: {type(error).__name__}: {error}; it is tried again")
                pause = LOOK_SECONDS[1]
            self._stop.wait(TICK_SECONDS)

    def look(self, present: set[str]) -> bool:
        """Ask SLURM once and do what follows; return whether anything changed."""
        known = queue.states([job.number for job in self._jobs])
        if known is None:
            if not self._silent:
                self._tell("SLURM does not answer; it is asked again")
            self._silent = True
            return False
        self._silent = False
        before = [(job.number, job.known, job.worked) for job in self._jobs]
        for job in self._jobs:
            self._update(job, known.get(job.number), present)
        over = [job for job in self._jobs if job.known.state in queue.OVER or job.unseen > 1]
        self._jobs = [job for job in self._jobs if job not in over]
        self._count(over)
        self._submit(self._missing())
        self._report()
        return before != [(job.number, job.known, job.worked) for job in self._jobs]

    def _update(self, job: _Job, state: State | None, present: set[str]) -> None:
        now = time.monotonic()
        if state is None:  # it has ended long ago, or is so new that squeue does not list it yet
            job.unseen += 1
        else:
            job.unseen, job.known = 0, state
            if state.state == "PENDING":
                job.began = None  # also one that was requeued
            elif job.began is None:
                job.began = now
                self._wait_seconds = max(60.0, now - job.queued)
        if job.number in present and job.worked is None:
            job.worked = now
            if job.replaces:
                self._futile = 0

    def _count(self, over: list[_Job]) -> None:
        """Take note of jobs that have ended, and say how, but for those whose time was over."""
        now = time.monotonic()
        failed = []
        for job in over:
            useful = job.worked is not None and now - job.worked >= self._useful_seconds()
            if not useful and job.worked is not None:
                self._short += 1
            elif not useful and job.replaces:
                self._futile += 1
            if useful and job.known.state == "COMPLETED":
                continue
            self._ended[job.known.state if not job.unseen else "gone"] += 1
            failed.append(job)
        for job in failed[:TOLD_AT_ONCE]:
            how = "is gone from the queue" if job.unseen else f"ended: {job.known}"
            more = queue.last_words(job.number)
            self._last_end = f"job {job.number} {how}" + (f", {more}" if more else "")
            self._tell(self._last_end)
        if len(failed) > TOLD_AT_ONCE:
            self._tell(f"{len(failed) - TOLD_AT_ONCE:,} more jobs ended with it")

    def _useful_seconds(self) -> float:
        """How long the workers of a job are there if nothing is wrong with it, at the least."""
        return min(USEFUL_SECONDS, self._leaving.earliest / 2 if self._leaving else USEFUL_SECONDS)

    def _missing(self) -> int:
        """Return how many jobs to submit now."""
        due = self._leaving
        now = time.monotonic()
        stay = [
            job
            for job in self._jobs
            if due is None
            or job.began is None
            or now - job.began < due.earliest - min(self._wait_seconds, due.walltime / 4)
        ]
        missing = self._wanted - len(stay)
        first = not self._had_any and not self._refusal
        if missing <= 0 or first:
            return max(missing, 0)
        if self._gave_up() or now - self._refused < REFUSED_SECONDS:
            return 0
        if self._futile or self._in_doubt():
            # What ends one job at once may end all: one goes ahead until its worker has come.
            return 0 if any(job.replaces and job.worked is None for job in self._jobs) else 1
        return missing

    def _in_doubt(self) -> bool:
        """Whether no job has had a worker yet, and some have ended."""
        return bool(self._ended) and all(job.worked is None for job in self._jobs)

    def _gave_up(self) -> bool:
        return self._futile >= FUTILE_JOBS or self._short > SHORT_JOBS_EACH * self._wanted

    def _submit(self, missing: int) -> None:
        """Queue jobs, the first alone: what SLURM refuses it need not refuse a hundred times."""
        replaces = bool(self._ended) or bool(self._jobs)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            at_once = 1
            while missing > 0 and not self._stop.is_set():
                refusals = list(pool.map(lambda _: self._submit_one(replaces), range(at_once)))
                missing -= at_once
                if refusal := next(filter(None, refusals), ""):
                    self._refused = time.monotonic()
                    if refusal != self._refusal:
                        self._refusal = refusal
                        self._tell(
                            f"SLURM takes {len(self._jobs):,} of {self._wanted:,} job(s): "
                            f"{refusal}; it is tried again"
                        )
                    return
                at_once = min(AT_ONCE, missing)
                self._refusal = ""

    def _submit_one(self, replaces: bool) -> str:
        """Queue one job; return what SLURM says against it."""
        try:
            number = queue.submit(self._script)
        except queue.SubmissionError as error:
            return str(error)
        self._jobs.append(_Job(number, replaces))
        self._had_any = True
        self._note(number)
        return ""

    def _report(self) -> None:
        """Put the state of the queue into words: at once when it changes, else now and then."""
        now = time.monotonic()
        waiting = [job for job in self._jobs if job.waits]
        counted = Counter(str(job.known) for job in waiting)
        words = [f"{count:,} job(s) {what}" for what, count in sorted(counted.items())]
        gone = self._wanted - len(self._jobs)
        if self._gave_up() and gone > 0:
            words.append(f"{gone:,} of {self._wanted:,} job(s) ended and are not replaced any more")
            counted["given up"] = gone
        stuck = {job.known.reason for job in waiting} & queue.STUCK
        patient = any(now - job.queued > PATIENCE_SECONDS for job in waiting)
        about = ";".join(sorted(counted)) if stuck or patient or self._gave_up() else ""
        if about and (about != self._said or now - self._said_at >= REMIND_SECONDS):
            advice = "; that does not go away by waiting, and Ctrl-C ends the jobs" if stuck else ""
            self._tell(f"SLURM: {', '.join(words)}{advice}")
            self._said, self._said_at = about, now
        state = ", ".join(words)
        over = ""
        if not self._jobs and (self._gave_up() or (self._refusal and not self._had_any)):
            over = self._why()
        with self._lock:
            self._new = self._new or state != self._state
            self._state, self._over = state, over

    def _why(self) -> str:
        if not self._ended:
            return f"SLURM refuses the job: {self._refusal}"
        ended = ", ".join(f"{count:,} {state}" for state, count in self._ended.most_common())
        return (
            f"SLURM: no job is left, and more of them would end as they did ({ended}); the last: "
            f"{self._last_end}"
        )

"""What SLURM's commands are asked, and what they say."""

import contextlib
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tiledsim.errors import BackendError

ANSWER_SECONDS = 60.0
"""How long SLURM's commands may take."""
OVER = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
     "PREEMPTED", "REVOKED", "TIMEOUT")
)  # fmt: skip
"""States of jobs that have ended; SLURM knows of them for some minutes."""
STUCK = frozenset(
    ("AccountNotAllowed", "BadConstraints", "DependencyNeverSatisfied", "InvalidAccount",
     "InvalidQOS", "JobHeldAdmin", "JobHeldUser", "PartitionDown", "PartitionInactive",
     "PartitionNodeLimit", "PartitionTimeLimit", "QOSNotAllowed", "ReservationDeleted")
)  # fmt: skip
"""Reasons of waiting that do not go away by waiting."""
LONGEST_LINE = 200
_MARKS = re.compile(r"^(slurmstepd: )?error: \*\*\* .*CANCELLED|^\s*$")


class SubmissionError(Exception):
    """SLURM did not take a job."""


@dataclass(frozen=True)
class State:
    """A job in SLURM's own words."""

    state: str
    """PENDING, RUNNING, FAILED …"""
    reason: str = "None"
    """Of waiting, or of the end."""

    def __str__(self) -> str:
        return self.state if self.reason in ("None", "") else f"{self.state} ({self.reason})"


def ask(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    """Run a command of SLURM; None if it does not answer, as of a controller that is busy."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {error.strerror}")


def _complaint(answer: subprocess.CompletedProcess[str]) -> str:
    said = answer.stderr.strip() or answer.stdout.strip() or f"status {answer.returncode}"
    lines = [line for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0])[:LONGEST_LINE]


def try_script(script: Path) -> None:
    """Let SLURM look at a job script without queueing it; BackendError if it refuses it."""
    looked = ask(["sbatch", "--test-only", str(script)])
    if looked is None:
        raise BackendError(f"SLURM does not answer within {ANSWER_SECONDS:g} s; try again later")
    if looked.returncode != 0:
        raise BackendError(f"SLURM refuses the job: {_complaint(looked)}")


def submit(script: Path) -> str:
    """Queue a job and return its number; SubmissionError with what SLURM says."""
    answer = ask(["sbatch", "--parsable", str(script)])
    if answer is None:
        raise SubmissionError(f"sbatch does not answer within {ANSWER_SECONDS:g} s")
    found = re.search(r"\d+", answer.stdout)
    if answer.returncode != 0 or found is None:
        raise SubmissionError(_complaint(answer))
    return found[0]


def states(jobs: Sequence[str]) -> dict[str, State] | None:
    """Return what SLURM knows of jobs, by number; None where it does not answer."""
    if not jobs:
        return {}
    listing = ask(
        ["squeue", "--noheader", "--states=all", "--format=%i|%T|%r", f"--jobs={','.join(jobs)}"]
    )
    if listing is None:
        return None
    if listing.returncode != 0:
        # All numbers unknown, as SLURM says of jobs that ended some minutes ago, or no answer.
        return {} if "Invalid job id" in listing.stderr else None
    found = {}
    for line in listing.stdout.splitlines():
        number, _, rest = line.strip().partition("|")
        state, _, reason = rest.partition("|")
        found[number] = State(state, reason.strip())
    return found


def cancel(jobs: Sequence[str]) -> None:
    """End jobs, waiting or running; those that have ended do no harm."""
    if jobs:
        ask(["scancel", *jobs])


def last_words(job: str) -> str:
    """Return how a job ended: its exit status, and the last line of its log if it is seen here."""
    about = ask(["scontrol", "--oneliner", "show", "job", job])
    if about is None or about.returncode != 0:
        return ""
    known = dict(re.findall(r"(?:^|\s)(\w+)=(\S*)", about.stdout))
    words = []
    status, _, number = known.get("ExitCode", "0:0").partition(":")
    if status != "0":
        words.append(f"exit status {status}")
    if number not in ("", "0"):
        words.append(f"signal {number}")
    log = known.get("StdErr") or known.get("StdOut")
    if log:
        line = _last_line(Path(log))
        words.append(f"its log {log} ends: {line}" if line else f"log {log}")
    return ", ".join(words)


def _last_line(log: Path) -> str:
    """Return the last line of a log that says something; empty where there is none."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8192))
        lines = file.read().decode(errors="replace").splitlines()
        said = [line.strip() for line in lines if not _MARKS.match(line)]
        errors = [line for line in said if "Error" in line or "error" in line]
        return (errors or said or [""])[-1][:LONGEST_LINE]
    return ""

"""A real SLURM on this machine, as root, on 127.0.0.1: four nodes, ended by their pids.

Each node claims four CPUs, 16 GB and two GPUs, whatever the machine has.  Nothing of an installed
configuration is read or changed: keys, sockets, state and logs are in one folder.
"""

import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NODES = 4
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")
CONFIGURATION = """
ClusterName=here
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
CredType=cred/munge
SlurmctldPort={port}
SrunPortRange={srun_first}-{srun_last}
# Listen on the address of SlurmctldHost alone.
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPidFile={folder}/run/slurmctld-own.pid
SlurmdPidFile={folder}/run/%n-own.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
# No control groups: containers often have none.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=5
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5,sched_interval=5,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
# The CPUs and memory of the lines below, whatever the machine has.
SlurmdParameters=config_overrides
NodeName=node[1-{nodes}] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=4 \
RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PartitionName=normal Nodes=node[1-{nodes}] Default=YES MaxTime=02:00:00 State=UP
PartitionName=short Nodes=node[1-{nodes}] MaxTime=00:05:00 State=UP
"""
START_SECONDS = 30.0


def why_not() -> str:
    """Say why there can be no SLURM here; empty where there can."""
    if os.geteuid() != 0:
        return "a SLURM of one's own needs root"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        return f"{', '.join(missing)} is not installed (Debian: slurm-wlm, munge)"
    return ""


@dataclass(frozen=True)
class RealSlurm:
    """A SLURM that runs, and the environment of whoever uses it."""

    folder: Path

    @property
    def configuration(self) -> Path:
        """What SLURM_CONF names."""
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """What SLURM's programs need to find it."""
        return {"SLURM_CONF": str(self.configuration)}

    def ask(self, *command: str | Path) -> str:
        """Return what a command of SLURM prints."""
        done = subprocess.run(
            [str(word) for word in command], env=os.environ | self.environment,
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        return done.stdout.strip()

    def jobs(self, *states: str) -> list[str]:
        """Return the numbers of jobs that wait or run, or are in the states given."""
        chosen = [f"--states={','.join(states)}"] if states else []
        return self.ask("squeue", "--noheader", "--format=%i", *chosen).split()

    def state(self, job: str) -> str:
        """Return the state of a job, also of one that has ended some minutes ago."""
        about = self.ask("scontrol", "--oneliner", "show", "job", job)
        return about.partition("JobState=")[2].partition(" ")[0]

    def wait(self, condition: str, *states: str, jobs: int = 1, seconds: float = 30.0) -> list[str]:
        """Wait until so many jobs are in one of the states; ``condition`` says it in words."""
        deadline = time.monotonic() + seconds
        while len(found := self.jobs(*states)) < jobs:
            assert time.monotonic() < deadline, f"{condition}: {self.ask('squeue')}"
            time.sleep(0.1)
        return found

    def wait_until_empty(self, seconds: float = 30.0) -> None:
        """Wait until no job waits or runs."""
        deadline = time.monotonic() + seconds
        while self.jobs():
            assert time.monotonic() < deadline, self.ask("squeue")
            time.sleep(0.1)


def _free_ports(count: int) -> int:
    """Return the first of so many ports that are free, one after the other."""
    for first in range(26800 + os.getpid() % 1000, 32000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as taken:
                    taken.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


@contextmanager
def real_slurm() -> Iterator[RealSlurm]:
    """Start a SLURM in a folder of its own, and end it with what is left of its jobs."""
    # Not in pytest's folders: munged wants all above its socket to be open to everybody.
    folder = Path(tempfile.mkdtemp(prefix="tiledsim-slurm-", dir="/tmp"))
    try:
        with _started(folder) as slurm:
            yield slurm
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(folder: Path) -> Iterator[RealSlurm]:
    for name in ("state", "spool", "log", "run", "dev"):
        (folder / name).mkdir(parents=True)
    for place in (folder, folder / "run"):  # munged wants nobody else to write there
        place.chmod(0o755)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    for number in range(2):  # as /dev/null is
        os.mknod(folder / "dev" / f"gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    first = _free_ports(100)
    slurm = RealSlurm(folder)
    slurm.configuration.write_text(
        CONFIGURATION.format(
            folder=folder, nodes=NODES, port=first, first=first + 1, last=first + NODES,
            srun_first=first + NODES + 1, srun_last=first + 99,
        )
    )  # fmt: skip
    (folder / "gres.conf").write_text(
        f"NodeName=node[1-{NODES}] Name=gpu File={folder}/dev/gpu[0-1]\n"
    )
    environment = os.environ | slurm.environment
    environment["PATH"] = f"{environment.get('PATH', '')}:/usr/sbin:/sbin"
    started: list[subprocess.Popen[bytes]] = []

    def begin(name: str, *command: str | Path) -> None:
        with (folder / "log" / f"{name}.out").open("wb") as out:
            started.append(
                subprocess.Popen(
                    [str(word) for word in command], env=environment, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                )
            )  # fmt: skip

    try:
        begin(
            "munged", "munged", "--foreground", f"--key-file={key}",
            f"--socket={folder}/run/munge.socket", f"--pid-file={folder}/run/munged-own.pid",
            f"--seed-file={folder}/run/munge.seed", "--num-threads=2",
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not (folder / "run" / "munge.socket").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        begin("slurmctld", "slurmctld", "-D", "-c")
        for node in range(1, NODES + 1):
            (folder / "spool" / f"node{node}").mkdir()
            begin(f"node{node}", "slurmd", "-D", "-N", f"node{node}")
        while slurm.ask("sinfo", "-h", "-p", "normal", "-t", "idle", "-o", "%D") != str(NODES):
            logs = [f.read_text(errors="replace")[-500:] for f in folder.glob("log/*")]
            assert time.monotonic() < deadline, "\n".join(logs)
            time.sleep(0.1)
        yield slurm
    finally:
        if left := slurm.jobs():
            slurm.ask("scancel", *left)
            slurm.wait_until_empty()
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

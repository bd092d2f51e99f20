"""Pretended workers: they speak Dask's protocol, one thread each, and only wait instead of working.

    python benchmarks/pretend.py SCHEDULER-FILE COUNT FIRST

One process holds hundreds, each with its own address, connection and heartbeats.  What a task asks
for is told by its function, which returns how long it would take and what it would give
(``efficiency.planned_tiles``).  A real worker costs its own machine more.
"""

import asyncio
import os
import pickle
import signal
import sys
import time
from collections import deque
from typing import Any

import efficiency
from distributed.batched import BatchedSend
from distributed.comm import connect, listen
from distributed.protocol import to_serialize
from distributed.versions import get_versions

METRICS: dict[str, Any] = {
    "task_counts": {}, "bandwidth": {"total": 1e8, "workers": {}, "types": {}},
    "digests_total_since_heartbeat": {}, "managed_bytes": 0,
    "spilled_bytes": {"memory": 0, "disk": 0}, "event_loop_interval": 0.02, "cpu": 0.0,
    "memory": 2**28, "time": 0.0, "host_net_io": {"read_bps": 0.0, "write_bps": 0.0},
    "host_disk_io": {"read_bps": 0.0, "write_bps": 0.0}, "num_fds": 20,
    "transfer": {"incoming_bytes": 0, "incoming_count": 0, "incoming_count_total": 0,
                 "outgoing_bytes": 0, "outgoing_count": 0, "outgoing_count_total": 0},
}  # fmt: skip
"""Of a heartbeat, about as large as a real one."""


class PretendedWorker:
    """One of them."""

    def __init__(self, scheduler: str, name: str) -> None:
        self._scheduler = scheduler
        self._name = name
        self._data: dict[str, Any] = {}
        self._line: deque[dict[str, Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._running: str | None = None
        self._stream = BatchedSend(interval="2ms")

    async def run(self) -> None:
        """Register, and work until the scheduler goes."""
        listener = await listen("tcp://127.0.0.1:0", self._answer)
        self._address = listener.contact_address
        comm = await connect(self._scheduler)
        await comm.write(
            {
                "op": "register-worker", "reply": False, "address": self._address,
                "status": "running", "nthreads": 1, "name": self._name, "now": time.time(),
                "resources": {}, "memory_limit": None, "local_directory": "/tmp", "services": {},
                "nanny": None, "pid": os.getpid(), "versions": get_versions(), "metrics": METRICS,
                "extra": {}, "stimulus_id": f"worker-connect-{time.time()}",
                "server_id": f"Worker-{self._name}",
            },
            serializers=["msgpack"],
        )  # fmt: skip
        answer = await comm.read(deserializers=["msgpack"])
        if answer["status"] != "OK":
            raise RuntimeError(str(answer))
        self._stream.start(comm)
        beats = asyncio.ensure_future(self._beat(answer["heartbeat-interval"]))
        try:
            while True:
                for message in await comm.read():
                    self._take(message)
        except OSError:
            pass  # the scheduler, or whoever stopped us, has closed it
        finally:
            beats.cancel()
            listener.stop()

    async def _beat(self, interval: float) -> None:
        comm = await connect(self._scheduler)
        while True:
            await asyncio.sleep(interval)
            executing = {} if self._running is None else {self._running: 1.0}
            await comm.write(
                {
                    "op": "heartbeat_worker", "reply": True, "address": self._address,
                    "now": time.time(), "metrics": METRICS | {"time": time.time()},
                    "executing": executing, "extensions": {},
                }
            )  # fmt: skip
            interval = (await comm.read())["heartbeat-interval"]

    async def _answer(self, comm: Any) -> None:
        """Serve one connection of the scheduler: it fetches results."""
        try:
            while True:
                asked = await comm.read()
                if asked["op"] == "get_data":
                    found = {
                        k: to_serialize(self._data[k]) for k in asked["keys"] if k in self._data
                    }
                    await comm.write({"status": "OK", "data": found})
                    await comm.read()
                elif asked.get("reply", True):
                    await comm.write({"status": "OK"})
        except OSError:
            pass

    def _take(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "compute-task":
                self._line.append(message)
                self._begin()
            case "free-keys" | "remove-replicas":
                for key in message["keys"]:
                    self._data.pop(key, None)
                    if key == self._running and self._timer is not None:
                        self._timer.cancel()
                        self._running = None
                self._line = deque(m for m in self._line if m["key"] not in message["keys"])
                self._begin()
            case "steal-request":
                waits = [m for m in self._line if m["key"] == message["key"]]
                self._line = deque(m for m in self._line if m["key"] != message["key"])
                self._stream.send(
                    {
                        "op": "steal-response", "key": message["key"],
                        "state": "waiting" if waits else "executing",
                        "stimulus_id": message["stimulus_id"],
                    }
                )  # fmt: skip

    def _begin(self) -> None:
        if self._running is not None or not self._line:
            return
        message = self._line.popleft()
        efficiency.this_worker = self._name
        seconds, records = message["run_spec"]()
        self._running = message["key"]
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._finish, message, records, time.time())

    def _finish(self, message: dict[str, Any], records: Any, started: float) -> None:
        key = message["key"]
        self._running = None
        self._data[key] = records
        self._stream.send(
            {
                "op": "task-finished", "status": "OK", "key": key, "run_id": message["run_id"],
                "nbytes": 300 * len(records), "type": pickle.dumps(list), "typename": "list",
                "metadata": {}, "thread": 1, "stimulus_id": f"task-finished-{time.time()}",
                "startstops": [{"action": "compute", "start": started, "stop": time.time()}],
            }
        )  # fmt: skip
        self._begin()


async def _run(scheduler: str, count: int, first: int) -> None:
    workers = [PretendedWorker(scheduler, f"p{number}") for number in range(first, first + count)]
    running = []
    for start in range(0, count, 50):  # not all at once: connections wait for each other
        running += [asyncio.ensure_future(worker.run()) for worker in workers[start : start + 50]]
        await asyncio.sleep(0.2)
    await asyncio.gather(*running, return_exceptions=True)


def main() -> None:
    """Be so many workers until the scheduler goes, or SIGTERM."""
    import json
    import resource
    from pathlib import Path

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    place, count, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    asyncio.run(_run(json.loads(place.read_text())["address"], count, first))


if __name__ == "__main__":
    main()

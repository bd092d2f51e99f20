"""Runs on schedulers that are there already: by address, by file, with TLS, with odd workers."""

import json
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.distributed import servers
from tests.distributed.fakes import FAULTY
from tests.distributed.forks import refusal, tiledsim
from tiledsim import __version__
from tiledsim.errors import BackendError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary, run
from tiledsim.scheduler.cluster import remote
from tiledsim.scheduler.cluster.choose import choose_place
from tiledsim.scheduler.cluster.local import local_client
from tiledsim.scheduler.launch import choose_workers
from tiledsim.scheduler.options import Where
from tiledsim.scheduler.session import driver
from tiledsim.scheduler.session.events import Event, TilesDone, WorkersAwaited

Check = Callable[[Path, Summary], None]


@pytest.fixture(scope="module")
def file(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "experiment.toml"
    path.write_text(experiment.to_toml())
    return path


def summary_of(store: Path) -> Summary:
    return Summary.from_json(json.loads(tiledsim("summary", store, "--json").stdout))


def test_a_scheduler_file_and_its_workers(
    tmp_path: Path, file: Path, same_as_undisturbed: Check
) -> None:
    store = tmp_path / "image.zarr"
    with servers.scheduler_with_workers(tmp_path, 2) as scheduler:
        done = tiledsim("run", file, "-o", store, "--scheduler-file", scheduler)
    assert done.returncode == 0, done.stderr
    summary = summary_of(store)
    same_as_undisturbed(store, summary)
    assert summary.workers_count == 2


def test_a_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FILE_SECONDS", 0.2)
    with pytest.raises(BackendError, match="does not exist; start one with dask scheduler"):
        remote.address_in(tmp_path / "none.json")
    odd = tmp_path / "odd.json"
    for content in ("[]", "{}", "{", '{"address": 3}'):
        odd.write_text(content)
        with pytest.raises(BackendError, match=r"odd\.json`: (is not the file|holds no address)"):
            remote.address_in(odd)


def test_a_file_that_is_being_written(tmp_path: Path) -> None:
    """Dask writes it in place; what is there of it is read again."""
    file = tmp_path / "scheduler.json"
    whole = '{"type": "Scheduler", "address": "tcp://127.0.0.1:8786"}'
    file.write_text("")
    writing = [
        threading.Timer(0.3, file.write_text, [whole[:30]]),
        threading.Timer(0.6, file.write_text, [whole]),
    ]
    for write in writing:
        write.start()
    assert remote.address_in(file) == "tcp://127.0.0.1:8786"
    for write in writing:
        write.join()


def test_a_scheduler_that_has_lost_its_workers(
    tmp_path: Path, experiment: Experiment, faults: Path, monkeypatch: pytest.MonkeyPatch,
    same_as_undisturbed: Check,
) -> None:  # fmt: skip
    """The run says once what it waits for, and goes on with workers that come."""
    monkeypatch.setattr(driver, "WORKERLESS_SECONDS", 2.0)
    (faults / "wait").write_text("0.2")
    scheduler = tmp_path / "scheduler.json"
    store = tmp_path / "image.zarr"
    waited: list[float] = []
    with servers.scheduler(scheduler), ExitStack() as first, ExitStack() as second:
        first.enter_context(servers.workers(scheduler, 1))

        def watch(event: Event) -> None:
            if isinstance(event, TilesDone):
                first.close()
            elif isinstance(event, WorkersAwaited):
                waited.append(event.seconds)
                (faults / "wait").unlink()
                second.enter_context(servers.workers(scheduler, 1))

        summary = run(
            experiment, store, scheduler_file=scheduler, callbacks=[watch], collaborators=FAULTY
        )
    assert len(waited) == 1
    assert waited[0] >= 2.0
    same_as_undisturbed(store, summary)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options for Dask's commands and ours, of one certificate that signs itself."""
    return make_certificates(tmp_path_factory.mktemp("tls"))


def make_certificates(folder: Path) -> list[str]:
    from distributed import Security

    made = Security.temporary()
    (folder / "cert.pem").write_text(made.tls_client_cert)
    (folder / "key.pem").write_text(made.tls_client_key)
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    return ["--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key]


@pytest.fixture(scope="module")
def secure(
    certificates: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """A scheduler with TLS, without workers: its file and its address."""
    scheduler = tmp_path_factory.mktemp("secure") / "scheduler.json"
    with servers.scheduler(scheduler, "--protocol", "tls", *certificates) as address:
        yield scheduler, address


def test_tls_end_to_end(
    tmp_path: Path, file: Path, secure: tuple[Path, str], certificates: list[str],
    same_as_undisturbed: Check,
) -> None:  # fmt: skip
    scheduler, address = secure
    store = tmp_path / "image.zarr"
    with servers.workers(scheduler, 1, "--protocol", "tls", *certificates):
        done = tiledsim("run", file, "-o", store, "--scheduler", address, *certificates)
    assert done.returncode == 0, done.stderr
    same_as_undisturbed(store, summary_of(store))


def test_a_client_without_tls_is_refused(
    tmp_path: Path, file: Path, secure: tuple[Path, str]
) -> None:
    _, address = secure
    store = tmp_path / "image.zarr"
    plain = address.replace("tls://", "tcp://")
    said = refusal("run", file, "-o", store, "--quiet", "--scheduler", plain)
    assert f"speaks TLS; use {address}, and give --tls-ca-file, --tls-cert and --tls-key" in said
    said = refusal("run", file, "-o", store, "--quiet", "--scheduler", address)
    assert "no certificates for TLS; give --tls-ca-file" in said
    stranger = make_certificates(tmp_path)
    said = refusal("run", file, "-o", store, "--quiet", "--scheduler", address, *stranger)
    assert "its certificate is not signed by" in said
    assert not store.exists()


def test_a_certificate_that_the_scheduler_did_not_sign(
    tmp_path: Path, file: Path, secure: tuple[Path, str], certificates: list[str]
) -> None:
    stranger = make_certificates(tmp_path)
    options = [*certificates[:2], *stranger[2:]]
    said = refusal("run", file, "-o", tmp_path / "a", "--quiet", "--scheduler", secure[1], *options)
    assert "refuses our certificate" in said


def test_tls_to_a_scheduler_without(
    tmp_path: Path, certificates: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 2)
    tls = remote.Tls(*map(Path, certificates[1::2]))
    with servers.scheduler(tmp_path / "scheduler.json") as address:
        secured = address.replace("tcp://", "tls://")
        with pytest.raises(BackendError, match=f"does not speak TLS; use {address}"):
            remote.remote_client(secured, tls).__enter__()
        with pytest.raises(BackendError, match=f"reached without TLS.*; write {secured}"):
            remote.remote_client(address, tls).__enter__()


def test_dasks_own_configuration_has_the_certificates(
    tmp_path: Path, file: Path, secure: tuple[Path, str], certificates: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The connection is made; that it has no workers is what stops the run."""
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", certificates[1])
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT", certificates[3])
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY", certificates[5])
    script = (
        "import sys; from tiledsim.scheduler.cluster.remote import remote_client\n"
        "with remote_client(sys.argv[1]) as client: print(client.status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, secure[1]], capture_output=True, text=True, check=False
    )
    assert done.stdout == "running\n", done.stderr


@pytest.mark.parametrize(
    ("keep", "named"),
    [
        ({"tls_cert": "cert.pem"}, "`tls_ca_file` is missing"),
        ({"tls_ca_file": "cert.pem"}, "`tls_cert` is missing"),
        ({"tls_ca_file": "none.pem", "tls_cert": "cert.pem"}, "No such file"),
        ({"tls_ca_file": "junk.pem", "tls_cert": "cert.pem"}, "holds no certificates"),
        ({"tls_ca_file": "cert.pem", "tls_cert": "cert.pem"}, "no certificate with its key"),
    ],
)
def test_certificate_files_that_cannot_be_used(
    tmp_path: Path, keep: dict[str, str], named: str
) -> None:
    make_certificates(tmp_path)
    (tmp_path / "junk.pem").write_text("no certificate")
    files = {option: tmp_path / file for option, file in keep.items()}
    with pytest.raises(BackendError, match=named):
        choose_place(Where(scheduler="tls://127.0.0.1:1", **files))  # type: ignore[arg-type]


PRELOAD = """
import importlib.metadata
def preloaded(original=importlib.metadata.version):  # Dask loads this file twice
    def version(name):
        if name != "tiledsim":
            return original(name)
        {answer}
    return version
if not hasattr(importlib.metadata, "preloaded"):
    importlib.metadata.preloaded = True
    importlib.metadata.version = preloaded()
"""
ANOTHER = PRELOAD.format(answer="return '9.9.9'")
NONE = PRELOAD.format(answer="raise importlib.metadata.PackageNotFoundError(name)")
BLIND = """
import genericpath, os
def preloaded(original=genericpath.exists):  # Dask loads this file twice
    def exists(path):
        return ".tiledsim-" not in str(path) and original(path)
    return exists
if not hasattr(os, "preloaded"):
    os.preloaded = True
    genericpath.exists = preloaded()  # where os.path.exists is pickled from
"""


@pytest.mark.parametrize(
    ("preloads", "said"),
    [
        ([ANOTHER], "1 of 1 worker(s) have tiledsim 9.9.9 ("),
        ([NONE], "1 of 1 worker(s) have no tiledsim ("),
        (["", ANOTHER, NONE], "1 of 3 worker(s) have tiledsim 9.9.9, 1 of 3 worker(s) have no"),
    ],
)
def test_workers_with_another_tiledsim(tmp_path: Path, preloads: list[str], said: str) -> None:
    from tiledsim.scheduler.session.opening.preflight import check_workers

    scheduler = tmp_path / "scheduler.json"
    with ExitStack() as stack:
        address = stack.enter_context(servers.scheduler(scheduler))
        for number, code in enumerate(preloads):
            script = tmp_path / f"preload{number}.py"
            script.write_text(code)
            stack.enter_context(servers.workers(scheduler, 1, "--preload", script))
        client = stack.enter_context(remote.remote_client(address))
        client.wait_for_workers(len(preloads), timeout=60)
        with pytest.raises(BackendError) as error:
            check_workers(client)
    assert str(error.value).startswith(said)
    assert str(error.value).endswith(f"this is {__version__}; install the same everywhere")


def test_workers_with_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    from tiledsim.scheduler.session.opening import preflight

    with local_client(1, 1) as client:
        preflight.check_workers(client)
        monkeypatch.setattr(preflight, "sys", SimpleNamespace(version_info=(3, 99, 1)))
        here = platform.python_version()
        with pytest.raises(BackendError) as error:
            preflight.check_workers(client)
    assert f"runs Python {here}, {sys.executable}, this is Python 3.99;" in str(error.value)


def test_nothing_is_written_before_workers_are_known(tmp_path: Path, file: Path) -> None:
    preload = tmp_path / "preload.py"
    preload.write_text(ANOTHER)
    scheduler = tmp_path / "scheduler.json"
    store = tmp_path / "image.zarr"
    with servers.scheduler(scheduler), servers.workers(scheduler, 1, "--preload", preload):
        said = refusal("run", file, "-o", store, "--quiet", "--scheduler-file", scheduler)
    assert "tiledsim 9.9.9" in said
    assert not store.exists()


def test_workers_without_a_gpu(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers are asked; this machine need not have one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    store = tmp_path / "image.zarr"
    with servers.scheduler_with_workers(tmp_path, 1) as scheduler:
        said = refusal(
            "run", file, "-o", store, "--quiet", "--scheduler-file", scheduler, "--backend", "cuda"
        )
    assert said.startswith("1 of 1 worker(s), such as tcp://127.0.0.1:")
    assert "backend 'cuda' cannot be used" in said
    assert not store.exists()


def test_the_backend_of_workers_elsewhere() -> None:
    there = Where(scheduler="tcp://a:1")
    assert choose_workers("auto", "float64", there)[1] == "auto"  # they will be asked
    assert choose_workers("auto", "mixed", there)[1] == "cuda"
    assert choose_workers("cuda", "float64", there)[1] == "cuda"
    with pytest.raises(BackendError, match="dtype must be one of"):
        choose_workers("cuda", "float16", there)


def test_workers_that_do_not_see_the_folder(tmp_path: Path, file: Path) -> None:
    preload = tmp_path / "preload.py"
    preload.write_text(BLIND)
    scheduler = tmp_path / "scheduler.json"
    store = tmp_path / "image.zarr"
    with servers.scheduler(scheduler), servers.workers(scheduler, 1, "--preload", preload):
        said = refusal("run", file, "-o", store, "--quiet", "--scheduler-file", scheduler)
    assert "do not see its folder; give a folder on a disk that all share" in said
    assert not [path for path in tmp_path.iterdir() if "tiledsim" in path.name or path == store]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            {"scheduler": "tcp://a:1", "cluster": "local"},
            "`scheduler` and `cluster=local`",
        ),
        ({"scheduler": "tcp://a:1", "scheduler_file": "f"}, "`scheduler_file` are both given"),
        ({"scheduler": "tcp://a:1", "workers": 2}, "`workers` is for workers that tiledsim starts"),
        ({"scheduler": "tcp://a:1", "gpus": "all"}, "`gpus` is for workers that tiledsim starts"),
        ({"cluster_config": "f.toml"}, "`cluster_config` is for `cluster=slurm`"),
        ({"tls_ca_file": "ca"}, "are for `scheduler` or `scheduler_file`"),
        ({"cluster": "local", "gpus": "1"}, "GPUs have `cluster=cuda`"),
        ({"cluster": "slurm", "gpus": "1"}, "give gpus_per_job"),
        ({"cluster": "slurm", "threads": 2}, "cores / processes"),
    ],
)
def test_choices_that_exclude_each_other(words: dict[str, object], named: str) -> None:
    with pytest.raises(BackendError, match=named):
        choose_place(Where(**words))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("head:8786:9", "is no address of a scheduler"),
        ("tcp://", "is no address of a scheduler"),
        ("tcp://nowhere.invalid:8786", "'nowhere.invalid' is no host"),
        ("http://head:80", "reached by tcp or tls"),
    ],
)
def test_addresses_that_are_none(address: str, named: str) -> None:
    with pytest.raises(BackendError, match=named):
        remote.remote_client(address).__enter__()

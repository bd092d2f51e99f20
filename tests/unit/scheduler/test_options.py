"""One declaration of a run's options: Python, flags, [run] tables, variables and the store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from tests.distributed.conftest import make_experiment
from tests.unit.command import refusal, tiledsim
from tiledsim.cli.runs.run_options import flag_of, in_flags, takes_run_options
from tiledsim.errors import ExperimentError, OptionError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import run
from tiledsim.scheduler.options import About, RunOptions, Where, declared
from tiledsim.scheduler.presets import resolve
from tiledsim.scheduler.store.files import open_files
from tiledsim.scheduler.store.image import read_attributes


@dataclass(frozen=True, kw_only=True)
class OneMore(RunOptions):
    """The options of a run and another one: this field is all that is added."""

    patience_seconds: Annotated[float, About("How long to wait, if not `resume`.", above=0)] = 5.0


def test_another_option_is_another_field(tmp_path: Path) -> None:
    assert resolve({}, {}, {}, OneMore).patience_seconds == 5.0  # type: ignore[attr-defined]
    by_name = resolve({"patience_seconds": 7, "workers": 2}, {}, {}, OneMore)
    assert by_name == OneMore(patience_seconds=7.0, where=Where(workers=2))
    assert by_name.to_json() == {"patience_seconds": 7.0, "workers": 2}
    assert resolve({}, {"patience_seconds": 8.5}, {}, OneMore).to_json() == {
        "patience_seconds": 8.5
    }
    variable = {"TILEDSIM_PATIENCE_SECONDS": "9"}
    assert resolve({}, {"patience_seconds": 8.5}, variable, OneMore).to_json() == {
        "patience_seconds": 9.0
    }
    for place in ({"patience_seconds": 0}, {}), ({}, {"TILEDSIM_PATIENCE_SECONDS": "0"}):
        with pytest.raises(OptionError, match=r"(?i)patience_seconds.* 0.*: must be a number abov"):
            resolve({}, place[0], place[1], OneMore)
    with pytest.raises(OptionError, match="`patience_seconds` -1: must be a number above 0"):
        OneMore(patience_seconds=-1)

    received: dict[str, Any] = {}

    def command(name: str, *, options: dict[str, Any], loud: bool = False) -> None:
        received.update(options, name=name, loud=loud)

    app = typer.Typer(rich_markup_mode=None)
    app.command()(takes_run_options(command, OneMore))
    done = CliRunner().invoke(app, ["x", "--patience", "7", "--tile", "5", "6", "--no-fsync"])
    assert done.exit_code == 0, done.output
    assert received == {
        "name": "x", "loud": False, "patience_seconds": 7.0, "tile": (5, 6), "fsync": False
    }  # fmt: skip
    said = CliRunner().invoke(app, ["--help"]).output
    assert "--patience SECONDS" in said
    assert "How long to wait, if not --resume." in said

    run(make_experiment(size_px=(20, 20)), tmp_path / "a.zarr", by_name.of({"attempts": 2}))
    assert read_attributes(open_files(tmp_path / "a.zarr"))["options"] == {"attempts": 2}


def test_what_is_given_counts_before_variables_before_the_file() -> None:
    table = {"workers": 2, "threads": 2, "attempts": 2}
    variables = {"TILEDSIM_WORKERS": "3", "TILEDSIM_THREADS": "3", "TILEDSIM_TILE": "512 x 256"}
    found = resolve({"workers": 4}, table, variables)
    assert found.where == Where(workers=4, threads=3)
    assert (found.attempts, found.tile) == (2, (512, 256))
    there = resolve({"scheduler": "tcp://a:1"}, table, variables)
    assert there.where == Where(scheduler="tcp://a:1")  # workers of this machine were preset
    assert resolve({}, table, variables, placed=True).where == Where()


def test_every_option_can_be_set_from_everywhere_or_says_why_not() -> None:
    samples: dict[str, tuple[Any, str]] = {
        "cluster": ("cuda", "cuda"), "tile": ([3, 4], "3,4"), "backend": ("cpu", "cpu"),
    }  # fmt: skip
    for option in declared():
        by_type: dict[Any, tuple[Any, str]] = {
            bool: (True, "yes"), int: (7, "7"), float: (1.5, "1.5"), Path: ("f", "f"),
            str: ("x", "x"),
        }  # fmt: skip
        kind = next((t for t in by_type if t in option.choices), str)
        value, text = samples.get(option.name, by_type[kind])
        table, variable = {option.name: value}, {f"TILEDSIM_{option.name.upper()}": text}
        if not option.about.preset:
            for places in ((table, {}), ({}, variable)):
                with pytest.raises(OptionError, match=f"cannot be .*`{option.name}`"):
                    resolve({}, *places)
            continue
        ways = [resolve({}, table, {}), resolve({}, {}, variable)]
        if kind is not Path:
            ways.append(resolve(table, {}, {}))
        assert all(way == ways[0] for way in ways), option.name
        assert ways[0] != RunOptions() or option.default is True
        assert flag_of(option.name) in tiledsim_help()


def tiledsim_help(kept: list[str] = []) -> str:  # noqa: B006
    if not kept:
        kept.append(tiledsim("run", "--help").stdout)
    return kept[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": -1}, "`workers` -1: must be a whole number from 1 to"),
        ({"workers": True}, "`workers` true: must be a whole number"),
        ({"workers": "2"}, "`workers` '2': must be a whole number"),
        ({"attempts": 0}, "`attempts` 0: must be a whole number from 1"),
        ({"tile": (5, 0)}, "`tile`, value 2, 0: must be"),
        ({"tile": 5}, "`tile` 5: must be a list of 2 whole numbers"),
        ({"cluster": "pbs"}, "`cluster` 'pbs': must be 'local', 'cuda' or 'slurm'"),
        ({"time_limit_minutes": 0}, "`time_limit_minutes` 0: must be a number above 0"),
        ({"time_limit_minutes": float("nan")}, "`time_limit_minutes` nan: must be a finite number"),
        ({"overwrite": 1}, "`overwrite` 1: must be true or false"),
        ({"resume": True, "overwrite": True}, "`resume` and `overwrite` are both given"),
        ({"repair": True}, "`repair` needs `resume`"),
    ],
)
def test_values_that_cannot_be(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as error:
        run(make_experiment(size_px=(9, 9)), tmp_path / "a.zarr", **given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_calls_that_cannot_be(tmp_path: Path) -> None:
    small = make_experiment(size_px=(9, 9))
    with pytest.raises(TypeError, match="no option 'worker'; did you mean 'workers'"):
        run(small, tmp_path / "a.zarr", worker=2)
    with pytest.raises(TypeError, match="give one of both"):
        run(small, tmp_path / "a.zarr", RunOptions(), workers=2)
    with pytest.raises(ExperimentError, match=r"not str; tiledsim.load\(file\) reads one"):
        run("x.toml", tmp_path / "a.zarr")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "variables", "said"),
    [
        ({"worker": 2}, {}, r"\[run\] worker: no such key; did you mean 'workers'"),
        ({"workers": "2"}, {}, r"\[run\] workers '2': must be a whole number"),
        ({}, {"TILEDSIM_WORKER": "2"}, "TILEDSIM_WORKER is none of tiledsim; did you mean TILEDSI"),
        ({}, {"TILEDSIM_FSYNC": "maybe"}, "TILEDSIM_FSYNC 'maybe': must be true or false"),
    ],
)
def test_presets_that_cannot_be(
    table: dict[str, Any], variables: dict[str, str], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        resolve({}, table, variables)


def test_the_run_table_of_a_file(tmp_path: Path) -> None:
    text = make_experiment(size_px=(40, 40)).to_toml() + "\n[run]\ntile = [16, 16]\nattempts = 2\n"
    (tmp_path / "e.toml").write_text(text)
    experiment = Experiment.from_toml(text, tmp_path)
    assert experiment.run == {"tile": [16, 16], "attempts": 2}
    run(experiment, tmp_path / "a.zarr")
    options = read_attributes(open_files(tmp_path / "a.zarr"))["options"]
    assert options == {"tile": [16, 16], "attempts": 2}
    (tmp_path / "e.toml").write_text(text.replace("attempts", "atempts"))
    said = refusal("run", tmp_path / "e.toml", "-o", tmp_path / "b.zarr")
    assert said == "[run] atempts: no such key; did you mean 'attempts'?"
    # No image depends on the table: another one continues the same run.
    run(experiment.replace(run={}), tmp_path / "a.zarr", resume=True)


def test_messages_name_parameters_and_the_command_line_its_flags() -> None:
    text = "give `resume`, `backend=cpu` or `time_limit_minutes`; `no such`, `thing` stay"
    assert in_flags(text) == (
        "give --resume, --backend cpu or --time-limit; `no such`, `thing` stay"
    )

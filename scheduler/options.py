"""What may be chosen for a run, declared once: type, default, meaning and bounds of each option.

:func:`tiledsim.scheduler.run` takes these names as keyword arguments, the command line makes its
flags of them, a ``[run]`` table in an experiment file and ``TILEDSIM_`` variables may preset them
(:mod:`tiledsim.scheduler.presets`), and a store says with which ones it was made.  Another option
is another field here, and is used where it is needed; nothing else has to know of it.
"""

import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tiledsim.errors import OptionError


@dataclass(frozen=True)
class About:
    """What people are told of an option, and the bounds of its value."""

    help: str
    """A name in backquotes is that of an option; the command line shows its own flag there."""
    metavar: str = ""
    """What stands for the value in help texts; empty for that of the type, or the unit."""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    preset: bool = True
    """Whether a file or an environment variable may set it: not what destroys something."""


@dataclass(frozen=True)
class Declared:
    """One option, as it was declared."""

    name: str
    kind: Any
    """The type of its value, optional where None is the default."""
    about: About
    default: Any
    where: bool
    """Whether it is a field of :class:`Where`."""

    @property
    def choices(self) -> tuple[Any, ...]:
        """Types of the value, None left out."""
        union = get_origin(self.kind) in (Union, types.UnionType)
        kinds = get_args(self.kind) if union else (self.kind,)
        return tuple(kind for kind in kinds if kind is not type(None))


class Options:
    """Base of frozen options: values are checked, whoever makes them."""

    def __post_init__(self) -> None:
        """Check the values; raises OptionError, which names the option."""
        given = {each.name: getattr(self, each.name) for each in own_options(type(self))}
        for name, value in check(type(self), given).items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class Where(Options):
    """Where the tiles are rendered.  By default one process here, with a thread a core."""

    workers: Annotated[
        int | None,
        About(
            "Worker processes on this machine, or of all SLURM jobs.  Without it, one process here "
            "with a thread a core.",
            least=1, most=100_000,
        ),
    ] = None  # fmt: skip
    threads: Annotated[int | None, About("Threads of each worker.", least=1, most=4096)] = None
    gpus: Annotated[
        str | None,
        About(
            "A worker process for each of these GPUs of this machine; implies `backend=cuda`.",
            "all|N|0,2",
        ),
    ] = None
    cluster: Annotated[
        Literal["local", "cuda", "slurm"] | None,
        About(
            "Start workers: on this machine's cores (the default), a process for each of its GPUs, "
            "or as SLURM jobs.",
            "local|cuda|slurm",
        ),
    ] = None
    cluster_config: Annotated[
        Path | Mapping[str, Any] | None,
        About(
            "TOML with a [cluster] table: queue, account, walltime, cores, memory, jobs … "
            "(docs/slurm.md).",
            "FILE",
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        About(
            "Use the Dask scheduler at this address (tcp://host:8786, tls://host:8786) and its "
            "workers.  Whoever reaches a tcp:// scheduler can run programs as its owner.",
            "ADDRESS",
        ),
    ] = None
    scheduler_file: Annotated[
        Path | None,
        About(
            "Use the Dask scheduler that writes its address into this file; waits for the file.",
            "FILE",
        ),
    ] = None
    tls_ca_file: Annotated[
        Path | None,
        About(
            "For a tls:// scheduler, as in Dask's commands: who signed its certificate.  Without "
            "these three, Dask's configuration counts.",
            "FILE",
        ),
    ] = None
    tls_cert: Annotated[Path | None, About("Our certificate.", "FILE")] = None
    tls_key: Annotated[Path | None, About("Its key, unless it is in the same file.", "FILE")] = None
    dashboard: Annotated[
        bool,
        About(
            "Start Dask's dashboard on 127.0.0.1 for workers of this machine.  It asks for no "
            "password: everybody who is logged in here can look at it."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """How a run is made; what it renders is the experiment.

    Values are checked when the object is made; OptionError names the option that is wrong.
    """

    where: Where = field(default_factory=Where)
    tile: Annotated[
        tuple[int, int] | None,
        About(
            "Pixels of a tile, rounded up to whole shards; the bytes stored do not depend on it.",
            "ROWS COLS", least=1,
        ),
    ] = None  # fmt: skip
    backend: Annotated[
        str,
        About(
            "The kernel that renders: auto takes CUDA where it can be used, or what a store was "
            "begun with; any lets each worker take what it has.",
            "auto|cpu|cuda|any",
        ),
    ] = "auto"
    dtype: Annotated[
        str, About("Precision of the arithmetic; mixed needs a GPU.", "float64|mixed")
    ] = "float64"
    overwrite: Annotated[bool, About("Replace an existing store of tiledsim.", preset=False)] = (
        False
    )
    resume: Annotated[bool, About("Continue a run that was cut short.", preset=False)] = False
    repair: Annotated[
        bool,
        About("With `resume`: read finished tiles back, render damaged ones again.", preset=False),
    ] = False
    other_versions: Annotated[
        bool,
        About(
            "With `resume`: go on with other versions of tiledsim, NumPy, Numba or the kernels "
            "than the run was begun with; those of each session are recorded.",
            preset=False,
        ),
    ] = False
    attempts: Annotated[
        int, About("How often a tile is tried before it is given up.", "N", least=1, most=1000)
    ] = 3
    fsync: Annotated[
        bool, About("Make every tile durable on its disk before it counts as done.")
    ] = True
    time_limit_minutes: Annotated[
        float | None,
        About(
            "End by then: begin no tile that would not be ready in time, exit with status 1, and "
            "go on with `resume`.",
            above=0, most=1e6,
        ),
    ] = None  # fmt: skip
    report: Annotated[Path | None, About("Keep Dask's performance report.", "FILE.html")] = None
    export: Annotated[
        Path | None,
        About(
            "At the end, write the images to this file too, whose ending says the format "
            "(docs/export.md).",
            "NAME", preset=False,
        ),
    ] = None  # fmt: skip
    picture: Annotated[
        Path | None,
        About("When all is done, draw the first shot; a picture that is there is replaced.",
              "FILE.png"),
    ] = None  # fmt: skip

    def __post_init__(self) -> None:
        """Check the values, each and together."""
        super().__post_init__()
        if self.resume and self.overwrite:
            raise OptionError(
                "`resume` and `overwrite` are both given: one keeps a store, one does not"
            )
        if self.repair and not self.resume:
            raise OptionError("`repair` needs `resume`: it renders damaged tiles of a run again")

    def to_json(self) -> dict[str, Any]:
        """Return the options that differ from their defaults.

        Returns
        -------
        dict
            Plain data, without secrets.
        """
        flat = {name: value for name, value in asdict(self).items() if name != "where"}
        given = flat | asdict(self.where)
        return {
            each.name: _plain(each.name, given[each.name])
            for each in declared(type(self))
            if given[each.name] != each.default
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RunOptions":
        """Make options of flat names.

        Parameters
        ----------
        values
            Options by name, those of :class:`Where` among them.

        Returns
        -------
        RunOptions
            Checked.

        Raises
        ------
        OptionError
            For a value that an option cannot have.
        """
        inside = {each.name for each in own_options(Where)}
        where = {name: value for name, value in values.items() if name in inside}
        rest = {name: value for name, value in values.items() if name not in inside}
        return cls(where=Where(**where), **rest) if where else cls(**rest)


def own_options(kind: type[Options]) -> tuple[Declared, ...]:
    """Return what a class of options declares itself, without what is inside another."""
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for each in fields(kind):  # type: ignore[arg-type]
        if get_origin(hints[each.name]) is Annotated:
            value, about = get_args(hints[each.name])
            found.append(Declared(each.name, value, about, each.default, kind is Where))
    return tuple(found)


def declared(kind: type[RunOptions] = RunOptions) -> tuple[Declared, ...]:
    """Return all options of a run, those of where it runs first."""
    return (*own_options(Where), *own_options(kind))


def check(
    kind: type[Options], given: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return checked values, lists as tuples and names of files as paths.

    ``names`` says how people wrote the options; without it they are named as parameters.
    Raises OptionError, in one line, for a value that an option cannot have.
    """
    from pydantic import ValidationError

    from tiledsim.experiment.validation import explain

    model = _model(kind)
    known = {each.name: each for each in own_options(kind)}
    values = {name: _prepared(known[name], value) for name, value in given.items()}
    try:
        found = model.model_validate(values)
    except ValidationError as error:
        shown = names or {name: f"`{name}`" for name in known}
        raise OptionError(explain(model, error, shown)) from error
    return {name: getattr(found, name) for name in given}


_MODELS: dict[type[Options], Any] = {}


def _model(kind: type[Options]) -> Any:
    """Return the pydantic model that checks a class of options; made when first needed."""
    from pydantic import ConfigDict, Field, create_model

    if kind in _MODELS:
        return _MODELS[kind]
    made: dict[str, Any] = {}
    for each in own_options(kind):
        about = each.about
        bounds = Field(ge=about.least, gt=about.above, le=about.most)
        value = None if each.default is None else each.choices[0]
        for choice in each.choices:
            if choice in (int, float):
                choice = Annotated[choice, bounds]
            elif choice == tuple[int, int]:  # the bounds of a pair are those of its members
                member = Annotated[int, bounds]
                choice = tuple[member, member]
            value = choice if each.default is not None else value | choice
        made[each.name] = (value, each.default)
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    _MODELS[kind] = create_model(kind.__name__, __config__=config, **made)
    return _MODELS[kind]


def _prepared(option: Declared, value: Any) -> Any:
    """Let files be named by texts and pairs be lists, as TOML and people write them."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, str) and Path in option.choices:
        return Path(value).expanduser()
    if isinstance(value, Path):
        return value.expanduser()
    dump = getattr(value, "model_dump", None)  # a table that was checked already
    return dump(exclude_defaults=True) if dump is not None else value


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if name == "scheduler" and isinstance(value, str):
        from tiledsim.scheduler.cluster.remote import without_password

        return without_password(value)
    return value

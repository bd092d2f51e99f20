"""The command ``tiledsim``: it parses arguments, prints, and turns errors into exit statuses.

Commands live in modules of their own and import what they need when they run, so that ``--help``
is there at once.
"""

import contextlib
import multiprocessing.util
import os
import sys
import traceback
from typing import Annotated, Final, NoReturn

import typer

from tiledsim import __version__
from tiledsim.cli import describe, doctor
from tiledsim.cli.images import export, picture, spots, view
from tiledsim.cli.options import flags_hint
from tiledsim.cli.programs import compare, convert, nanobragg, nanobragg_kin, trace
from tiledsim.cli.runs import noise, plan, run, summary, verify, watch
from tiledsim.cli.runs.run_options import in_flags
from tiledsim.cli.runs.running import RunStoppedError
from tiledsim.cli.terminal import plain_streams
from tiledsim.errors import RunError, TiledsimError
from tiledsim.io.printable import one_line

BAD_INPUT: Final = 2
FAILED: Final = 1
INTERRUPTED: Final = 130
LONGEST_MESSAGE: Final = 8000

app = typer.Typer(
    name="tiledsim",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (
    run, noise, watch, nanobragg, nanobragg_kin, plan, spots, summary, verify, describe, convert,
    export, picture, view, trace, compare, doctor,
):  # fmt: skip
    module.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tiledsim {__version__}")
        raise typer.Exit


@app.callback()
def tiledsim(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Simulate X-ray diffraction images of crystals, in absolute photons per pixel.

    A detector is cut into tiles, every tile is rendered on a Dask worker and written straight to a
    Zarr store.  Errors are one line and exit with status 2 for bad input, 1 for a failed run.
    """


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    with plain_streams():
        # Not an option of the parser, which would read -hkl and -phi as clusters with an h.
        _main(["--help" if word == "-h" else _at_home(word) for word in sys.argv[1:]])


def _at_home(word: str) -> str:
    """Expand the ``~`` that a shell leaves alone: ``--output=~/a.zarr``, and one in quotes."""
    option, equals, value = word.rpartition("=")
    if not value.startswith("~") or (equals and not option.startswith("-")):
        return word
    return option + equals + os.path.expanduser(value)


def _main(arguments: list[str]) -> NoReturn:
    debug = "--debug" in arguments
    arguments = [word for word in arguments if word != "--debug"] or ["--help"]
    stopped = False
    try:
        status = app(args=arguments, prog_name="tiledsim", standalone_mode=False)
    except RunStoppedError as stop:
        _complain(str(stop), debug)
        status = stop.status
        stopped = True
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted", debug)
        status = INTERRUPTED
        stopped = True
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        status = FAILED
    except TiledsimError as error:
        _complain(str(error), debug)
        status = FAILED if isinstance(error, RunError) else BAD_INPUT
    except MemoryError:
        _complain("out of memory; use smaller tiles (--tile) or fewer workers (--workers)", debug)
        status = FAILED
    except Exception as error:
        usage = getattr(error, "format_message", None)  # what Typer says about arguments
        if usage is None:
            first = (str(error).strip().splitlines() or [""])[0]
            _complain(f"{type(error).__name__}: {first} (--debug shows where)", debug)
            status = FAILED
        else:
            _complain(usage().replace("\n", " ") + flags_hint(arguments), debug)
            status = BAD_INPUT
    if stopped:
        # Threads may be deep in a tile; what they have not written yet nobody waits for.  What
        # processes shared is given back, or Python would complain of it after our last line.
        multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]
        with contextlib.suppress(ValueError, OSError):  # closed by whoever read it
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str, debug: bool) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more; the status still says it
        if debug:
            traceback.print_exc()
        said = one_line(in_flags(message), LONGEST_MESSAGE)
        print(f"tiledsim: error: {said}", file=sys.stderr)


if __name__ == "__main__":
    main()

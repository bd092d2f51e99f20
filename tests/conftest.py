"""Settings of all tests."""

import signal

import pytest
from hypothesis import settings

# A busy machine is slow: how long an example takes says nothing about what it finds.
settings.register_profile("tiledsim", deadline=None)
settings.load_profile("tiledsim")

# A shell starts what is in the background with Ctrl-C ignored, and programs inherit that: those
# that tests interrupt would go on.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that ``-m gpu`` ran nothing: a line of skips reads like a success."""
    stats = terminalreporter.stats
    asked = terminalreporter.config.getoption("markexpr") == "gpu"
    if asked and not any(stats.get(outcome) for outcome in ("passed", "failed", "error")):
        terminalreporter.write_line(
            "NO TEST RAN ON A GPU: all were skipped; TILEDSIM_REQUIRE_GPU=1 makes that a failure",
            red=True,
            bold=True,
        )

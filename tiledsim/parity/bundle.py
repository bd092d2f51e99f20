"""The evidence of a comparison, in a folder of its own that nothing overwrites."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tiledsim.errors import StoreError
from tiledsim.parity.compare_logs import Comparison, KeyComparison
from tiledsim.parity.diagnose import diagnose


def bundle_folder(out: str | Path) -> tuple[Path, str]:
    """Make a new folder for a bundle and name its summary.

    ``reports/`` or a folder that exists gives ``reports/<UTC time>/``; another name is the folder
    itself; ``SOMEWHERE/NAME.md`` is a bundle in SOMEWHERE whose summary is NAME.md, and in
    ``SOMEWHERE/<UTC time>/`` where SOMEWHERE holds a bundle already.  Raises StoreError if it
    cannot be made.
    """
    name = "summary.md"
    folder = Path(out)
    if folder.suffix == ".md":
        folder, name = folder.parent, folder.name
        fresh = not (folder / "sha256.txt").exists()
    else:
        fresh = not folder.exists() and not str(out).endswith("/")
    if not fresh:
        folder = _new_subfolder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}") from None
    return folder, name


def _new_subfolder(folder: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    candidates = (folder / (stamp if n == 0 else f"{stamp}-{n}") for n in range(1000))
    return next(c for c in candidates if not c.exists())


def environment(extra: Mapping[str, str]) -> dict[str, Any]:
    """Return versions, machine and git revision, with what the caller adds."""
    versions = {}
    for package in ("tiledsim", "numpy", "numba"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "git_revision": _git_revision(),
        **extra,
    }


def _git_revision() -> str | None:
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def summary_text(comparison: Comparison) -> str:
    """Write a comparison for people, the first divergence on top."""
    first = comparison.first_divergence
    lines = [
        "# Comparison of two traces",
        "",
        f"First divergence: {f'**{first}**' if first else 'none'}",
        "",
        diagnose(comparison),
        "",
        f"{comparison.n_compared} keys compared at {comparison.tolerance:g} relative, "
        f"{comparison.n_missing} in one log only.",
        *(f"- {note}" for note in comparison.notes),
        "",
        "| key | C | PY | relative | status |",
        "|---|---|---|---|---|",
        *(_row(k) for k in comparison.keys),
        "",
    ]
    return "\n".join(lines)


def _row(k: KeyComparison) -> str:
    def cell(values: list[float] | None) -> str:
        return " ".join(f"{v:.15g}" for v in values) if values else "-"

    relative = "-" if k.rel_delta is None else f"{k.rel_delta:.3g}"
    note = f" ({k.note})" if k.note else ""
    return f"| {k.key} | {cell(k.c)} | {cell(k.py)} | {relative} | {k.status}{note} |"


def write_bundle(
    out: str | Path, *, metrics: Mapping[str, Any], summary: str, files: Mapping[str, bytes],
    commands: Sequence[str], env: Mapping[str, str],
) -> Path:  # fmt: skip
    """Write a bundle and return its folder.  ``files`` are the inputs as they were compared."""
    folder, name = bundle_folder(out)
    contents = {
        "metrics.json": json.dumps(metrics, indent=2, ensure_ascii=False).encode(),
        name: summary.encode(),
        "commands.txt": ("\n".join(commands) + "\n").encode(),
        "env.json": json.dumps(environment(env), indent=2).encode(),
        **files,
    }
    sums = []
    try:
        for file, data in contents.items():
            (folder / file).write_bytes(data)
            sums.append(f"{hashlib.sha256(data).hexdigest()}  {file}")
        (folder / "sha256.txt").write_text("\n".join(sums) + "\n")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from None
    return folder


def write_failure(out: str | Path, message: str) -> None:
    """Leave ``compare_failure.log`` with what made a comparison impossible."""
    folder, _ = bundle_folder(out)
    try:
        (folder / "compare_failure.log").write_text(message + "\n")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from None

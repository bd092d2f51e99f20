"""Real files of crystallographers, in the shared folder beside the checkout."""

from pathlib import Path

import pytest

FORMATS = Path(__file__).parents[3] / "shared" / "formats"
needs_formats = pytest.mark.skipif(not FORMATS.exists(), reason="needs ../shared/formats")

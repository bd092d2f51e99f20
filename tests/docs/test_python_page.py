"""The Python API: every public name is on its page, and says what it takes, gives and raises."""

import importlib
import inspect
import re
from collections.abc import Iterator
from types import FunctionType, ModuleType

import pytest

import tiledsim
import tiledsim.scheduler

PUBLIC = [
    *(f"tiledsim.{name}" for name in tiledsim.__all__ if name != "__version__"),
    *(f"tiledsim.scheduler.{name}" for name in tiledsim.scheduler.__all__),
]


def public(name: str) -> object:
    module, attribute = name.rsplit(".", 1)
    return getattr(importlib.import_module(module), attribute)


def functions(name: str) -> Iterator[tuple[str, FunctionType]]:
    """Yield a public function, or the methods that a public class defines itself."""
    value = public(name)
    if isinstance(value, FunctionType):
        yield name, value
    elif isinstance(value, type):
        for method, member in vars(value).items():
            plain = getattr(member, "__func__", member)
            if isinstance(plain, FunctionType) and not method.startswith("_"):
                yield f"{name}.{method}", plain


def sections(text: str) -> dict[str, str]:
    """Return the sections of a docstring of numpydoc's form by their titles."""
    parts = re.split(r"^(\w+)\n-+\n", inspect.cleandoc(text), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_public_name_is_on_the_page(generator: ModuleType) -> None:
    listed = [name for names in generator.PYTHON.values() for name in names]
    assert sorted(listed) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_says_what_it_takes_and_gives(name: str) -> None:
    assert inspect.getdoc(public(name))
    for where, function in functions(name):
        found = sections(function.__doc__ or "")
        signature = inspect.signature(function)
        taken = {each for each in signature.parameters if each not in ("self", "cls")}
        told = {
            each.strip().lstrip("*")
            for line in re.findall(r"^(\S.*)$", found.get("Parameters", ""), re.M)
            for each in line.split(":")[0].split(",")
        }
        assert told == taken, where
        gives = signature.return_annotation not in (None, "None", inspect.Signature.empty)
        assert ("Returns" in found or "Yields" in found) == gives, where


def test_sections_are_told_apart() -> None:
    text = """One line.

    Parameters
    ----------
    slow, fast
        The pixel.

    Returns
    -------
    float
        Photons.
    """
    assert sections(text) == {
        "Parameters": "slow, fast\n    The pixel.\n\n",
        "Returns": "float\n    Photons.",
    }

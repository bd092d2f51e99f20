"""The page of every key: each has a sentence, and it stands on the page."""

from types import ModuleType

from tiledsim.experiment import Experiment


def test_every_key_says_what_it_is(generator: ModuleType) -> None:
    silent = [
        f"{name}.{key}"
        for name, model in generator.tables(Experiment, "")
        for key in model.model_fields.keys() - generator.descriptions(model)
    ]
    assert silent == []


def test_the_page_has_kind_range_default_and_sentence(generator: ModuleType) -> None:
    page = generator.experiment_page()
    assert "| `polarization` | number | `0.0` | Kahn's factor" in page
    assert "| `bits` | whole number" in page
    assert "≥ 1, ≤ 32 | `16` | Of the converter" in page

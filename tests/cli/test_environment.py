"""TensorFlow is imported without what the commands do not need of it."""

import importlib
import sys

import pytest

from ecg_advmask.cli import environment


def test_a_package_is_hidden_from_imports_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    kept = importlib.import_module("json")
    with environment._as_if_not_installed("colorsys", "json"):
        with pytest.raises(ImportError):
            importlib.import_module("colorsys")
        assert importlib.import_module("json") is kept  # imported before, so not hidden
    assert importlib.import_module("colorsys").rgb_to_hsv(1, 0, 0) == (0, 1, 1)


def test_a_package_is_visible_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="of the import"), environment._as_if_not_installed("no_such_package"):
        raise ValueError("of the import")
    assert "no_such_package" not in sys.modules

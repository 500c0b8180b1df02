"""Settings of a study's methods: a table of the methods, and what all of them share."""

from collections.abc import Mapping
from typing import Any, Final

from ecg_advmask.report.results import NONE
from ecg_advmask.report.study.document import Table
from ecg_advmask.report.study.result import Entry, StudyResult

_WITHOUT_PRETRAINING: Final = {
    "random": "A frozen encoder with its initial weights.",
    "scratch": "The whole network, trained on the drawn labels from its initial weights.",
    "finetune": "The whole network, trained on the drawn labels from the encoder of {}.",
}
"""What methods are that the words of their preset do not tell."""


def methods(study: StudyResult) -> Table:
    """What each method is, and where its settings differ from the common ones.

    Of methods that do not pretrain, only those settings are told that the study file states.
    """
    settings = {one["name"]: _settings(one) for one in study.content["methods"]}
    common = common_settings(study)
    rows = []
    for one in study.content["methods"]:
        stated = settings[one["name"]] if one["kind"] == "pretrained" else dict(one.get("settings") or {})
        own = {key: value for key, value in stated.items() if key not in common}
        what = _WITHOUT_PRETRAINING.get(one["kind"], one.get("about") or NONE).format(one.get("of"))
        told = "; ".join(f"{key} = {value_text(value)}" for key, value in own.items())
        seeds = ", ".join(map(str, one.get("seeds", []))) or NONE
        draws = str(one.get("draws") or NONE)
        rows.append([one["name"], one["kind"], one.get("preset") or NONE, what, told or NONE, seeds, draws])
    caption = (
        "Methods in the order of the study file; settings that all methods share stand apart, under Configuration."
    )
    return Table(
        ["method", "kind", "preset", "what it is", "settings of its own", "seeds", "draws"], rows, caption, prose=True
    )


def common_settings(study: StudyResult) -> Mapping[str, Any]:
    """Settings that every method has, with the same value."""
    found = [_settings(one) for one in study.content["methods"]]
    first = found[0] if found else {}
    return {k: v for k, v in first.items() if all(k in other and other[k] == v for other in found)}


def _settings(method: Entry) -> dict[str, Any]:
    """Those of the preset, and on top of them those of the study and of the method."""
    return dict(method.get("preset_settings") or {}) | dict(method.get("settings") or {})


def value_text(value: Any) -> str:
    """A setting as a reader writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "; ".join(f"{key} = {value_text(one)}" for key, one in value.items()) or NONE
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)

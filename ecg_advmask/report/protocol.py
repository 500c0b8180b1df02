"""How the figures of a study, or of a single evaluation, were made, in plain sentences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ecg_advmask.evaluate.metrics import PRIMARY
from ecg_advmask.report.results import FINE_TUNING, METRIC_TITLES, JsonObject, StudyResult
from ecg_advmask.report.text import scale_of

_CROSS_VALIDATED: Final = "cross-validated"
_OPTIMUM: Final = "fitted to its optimum (logistic regression by L-BFGS, ridge regression for numbers), its penalty "
_HEADS: Final = {
    "lbfgs": f"{_OPTIMUM}chosen on the validation part",
    "adam": "trained by Adam",
    _CROSS_VALIDATED: f"{_OPTIMUM}chosen by cross-validation within the drawn labels",
}
_PARTS: Final = {"train": "training", "validation": "validation", "test": "the test"}
_KINDS: Final = {
    "classes": "one of {} classes ({})",
    "labels": "any of {} labels ({})",
    "number": "a number",
}


def study_protocol(study: StudyResult) -> list[str]:
    """How the numbers were made."""
    known, sentences = study.content["protocol"], []
    if "pretraining_share" in known:
        share = known["pretraining_share"]
        sentences.append(
            "Each pretrained method learns without labels on "
            + ("all patients" if share == 1 else f"{100 * share:g} % of the patients")
            + " of the pretraining data, once for each seed. No recording, signal or patient that any method's "
            "pretraining meets is used for the evaluation."
        )
    if "shares" in known:
        train, validation, test = (f"{100 * share:g} %" for share in known["shares"])
        seed = f" (seed {known['split_seed']})" if "split_seed" in known else ""
        sentences.append(
            f"The patients that no pretraining meets are split once {_strata(known)}{seed}, before any "
            f"training: {train} for training, {validation} for validation, {test} for the test. The test "
            "part is the same for every method, seed, number of labels and draw, and every metric is computed on the "
            "whole of it."
        )
    if "draws" in known:
        sentences.append(
            f"For each number of labels, {known['draws']} draws from the training part, where a method's own number is "
            "not stated below; a smaller draw is contained in a larger one of the same seed. The whole training part "
            "is drawn once. "
            + (
                "Linear heads use no other labels."
                if known.get("penalty") == _CROSS_VALIDATED
                else "The labels of the validation part come on top of the numbers given."
            )
        )
    head = _HEADS.get(_CROSS_VALIDATED if known.get("penalty") == _CROSS_VALIDATED else known.get("head", ""))
    sentences.append(
        "Frozen encoders (pretrained, or untrained with random weights) get a linear head"
        + (f" {head}" if head else "")
        + ". From scratch, and fine-tuned from a pretrained encoder, the whole network is trained on the drawn labels "
        "and stopped by the validation part, whose labels come on top of the drawn ones."
    )
    resamples = f", {known['resamples']:,} resamples" if "resamples" in known else ""
    kinds = {task["kind"] for task in study.content["tasks"]}
    strata = "" if kinds == {"number"} else " within strata of the label"
    if strata and "number" in kinds:
        strata += " (without strata where a number is predicted)"
    patients = f"the test patients{strata}{resamples}, the same for all methods, which pairs the differences"
    sentences.append(
        f"Intervals: {study.level_text}, of means over seeds and draws, over pretraining seeds, draws of labels and "
        f"test patients together: bootstrap over {patients}; to each resampled mean a deviate of Student's t is added, "
        "times the standard error over seeds and draws, with the degrees of freedom of Welch and Satterthwaite, since "
        "seeds are too few to resample. Seeds of two methods are independent, draws are paired. A method with one seed "
        "has an interval over draws and patients alone. The spreads over seeds and draws are also shown apart."
        if study.over_seeds
        else f"Intervals: {study.level_text} percentile bootstrap over {patients}. They are of means over seeds and "
        "draws, with the encoders held fixed: the uncertainty from the test set alone. The spread over pretraining "
        "seeds and over draws of labels is shown apart."
    )
    return sentences


def _strata(known: Mapping[str, Any]) -> str:
    """How often the recordings are divided, and by what they are stratified."""
    if known.get("stratify"):
        return f"for all tasks, stratified by {' and '.join(known['stratify'])} together"
    return "for each task, stratified by label"


def task_in_words(study: StudyResult, task: JsonObject) -> str:
    """What is predicted, by which metric it is judged, on how many recordings."""
    names: Sequence[str] = task["names"]
    what = _KINDS.get(task["kind"], "{} values ({})").format(len(names), ", ".join(names))
    if task["kind"] == "number" and names and names[0]:
        what += f" in {names[0]}"
    scale = scale_of(study, task, task["primary"])
    sizes = task["counts"].get("recordings_of_parts", {})
    parts = ", ".join(f"{size:,} for {_PARTS.get(part, part)}" for part, size in sizes.items())
    chance = "; 0.5 is chance" if "auroc" in task["primary"] else ""
    return f"Predicted: {what}. Judged by {scale.axis} ({scale.better}{chance}).{parts and f' Recordings: {parts}.'}"


# ---- Of a single evaluation.

STRATA: Final = {
    "classes": "class",
    "labels": "the rarest label of a recording",
    "number": "fifths of the number",
}
_RESAMPLED: Final = {
    "classes": "test patients within classes",
    "labels": "test patients within strata of their rarest label",
    "number": "test patients",
}


def protocol_in_words(result: Mapping[str, Any]) -> list[str]:
    """How the figures were made, and how many recordings were left out for which reason."""
    counts, protocol, kind = result["counts"], result["protocol"], result["targets"]["kind"]
    sizes = counts["recordings_of_parts"]
    reasons = "; ".join(f"{reason}: {count:,}" for reason, count in counts["unlabelled_reasons"].items())
    reasons = f" ({reasons})" if reasons else ""
    stored = result.get("split")
    how = f"as stored in {Path(stored['path']).name}" if stored else f"seed {protocol['split_seed']}"
    outside = f", and {counts['outside_split']:,} are not in the split" if counts.get("outside_split") else ""
    return [
        f"{_task_in_words(result)} {_encoder_in_words(result)}",
        f"Of {counts['recordings']:,} recordings, {counts['seen']:,} were left out because the encoder had met them in "
        f"pretraining (by id {counts['seen_by_id']:,}, by signal {counts['seen_by_signal']:,}, by patient "
        f"{counts['seen_by_patient']:,}; one can count in several), {counts['copies']:,} as copies of another signal "
        f"and {counts['unlabelled']:,} for want of a label{reasons}{outside}. The other {counts['eligible']:,} are of "
        f"{counts['patients']:,} patients.",
        f"They were split once by patient ({how}), stratified by {STRATA[kind]}: {sizes['train']:,} for training, "
        f"{sizes['validation']:,} for validation, {sizes['test']:,} for the test. Every encoder, number of labels and "
        "draw is measured on this same, whole test set.",
        f"For each number of labels, up to {protocol['draws']} stratified draws from the training part (seeds from "
        f"{protocol['seed']}). {_training_in_words(result)} "
        + (
            "The labels of the validation part are not used."
            if protocol.get("penalty") == _CROSS_VALIDATED and result["kind"] != FINE_TUNING
            else f"The {sizes['validation']:,} labels of the validation part come on top of the number given."
        ),
        f"Intervals: {protocol['level']:.0%} percentile bootstrap over {_RESAMPLED[kind]}, "
        f"{protocol['resamples']:,} resamples, the same for all heads, which pairs the differences. They tell the "
        "uncertainty from the test set alone; the spread over draws of labels stands apart. One pretrained encoder was "
        "tested: how much pretraining varies from seed to seed is not in these figures.",
    ]


def _task_in_words(result: Mapping[str, Any]) -> str:
    names, left_out = result["targets"]["names"], result["counts"]["left_out_labels"]
    if result["targets"]["kind"] == "number":
        return f"Task {result['task']}, a number to be estimated{f' in {names[0]}' if names[0] else ''}."
    kind = result["targets"]["kind"]
    of_which = "" if kind == "classes" else ", of which a recording has any number"
    text = f"Task {result['task']} with the {kind} {', '.join(names)}{of_which}."
    if left_out:
        each = "; ".join(f"{name}: {about['recordings']:,} ({about['reason']})" for name, about in left_out.items())
        text += f" Left out, with the number of their recordings: {each}."
    return text


def _encoder_in_words(result: Mapping[str, Any]) -> str:
    if result["kind"] == FINE_TUNING:
        return (
            "Encoder and linear head are trained together, batch statistics included; a recording of several windows "
            "is trained on through random ones and has the mean of the predictions of all."
        )
    return "The encoder is frozen; a recording of several windows has the mean of their embeddings."


def _training_in_words(result: Mapping[str, Any]) -> str:
    if result["kind"] != FINE_TUNING:
        return _head_in_words(result)
    settings = result["fine_tuning"]
    return (
        f"On each, Adam in batches of {settings['batch_size']} (rates {settings['head_rate']:g} for the head, "
        f"{settings['encoder_rate']:g} for a pretrained and {settings['scratch_rate']:g} for a random encoder, "
        f"{settings['schedule']} schedule) for {settings['updates']:,} updates, but no fewer than "
        f"{settings['fewest_passes']} and no more than {settings['most_passes']} passes through the labels. "
        f"{settings['checks']} times on the way the network is judged by {_primary(result)} on the "
        f"validation part; the best of these is tested, and {settings['patience']} in turn without a gain end it."
    )


def _head_in_words(result: Mapping[str, Any]) -> str:
    protocol, kind = result["protocol"], result["targets"]["kind"]
    chosen_by = f"by {_primary(result)} on the validation part."
    if protocol["head"] == "adam":
        return (
            "On each, a linear layer on embeddings standardised by the drawn recordings, trained by Adam (rate "
            f"{protocol['adam_learning_rate']:g}, batches of {protocol['adam_batch_size']}, at most "
            f"{protocol['adam_epochs']} epochs, {protocol['adam_patience']} without a gain end it); the epoch is "
            f"chosen {chosen_by}"
        )
    model = {
        "classes": "multinomial logistic regression with an L2 penalty (L-BFGS)",
        "labels": "one logistic regression with an L2 penalty per label (L-BFGS), all with the same C,",
        "number": "ridge regression of the standardised number (closed form)",
    }
    if protocol.get("penalty") == _CROSS_VALIDATED:
        chosen_by = (
            f"by {_primary(result)} of the held-out predictions of a cross-validation within the drawn labels, in "
            f"{protocol['folds']} folds at most, by patient and stratified; where they are too few to divide, it is "
            f"{protocol['few_labels_strength']:g}."
        )
    strengths = ", ".join(f"{value:g}" for value in protocol["strengths"])
    return (
        f"On each, {model[kind]} on embeddings standardised by the drawn recordings; C, the inverse strength of the "
        f"penalty, is chosen from {strengths} {chosen_by}"
    )


def _primary(result: Mapping[str, Any]) -> str:
    """What the metric that the task is judged by is called."""
    return METRIC_TITLES[PRIMARY[result["targets"]["kind"]]]

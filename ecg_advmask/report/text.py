"""Results of evaluations in sentences: what they say, and how they were made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ecg_advmask.evaluate.metrics import LOWER_IS_BETTER
from ecg_advmask.report.results import FINE_TUNING, METRIC_TITLES, estimate, kind_of, primary_of, title_of

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


def title(result: Mapping[str, Any]) -> str:
    """Task and data set, and whether encoders were trained."""
    return f"{result['task']} on {result['dataset']['name']}" + (
        ", fine-tuned" if result["kind"] == FINE_TUNING else ""
    )


def better_of(result: Mapping[str, Any], difference: Mapping[str, Any]) -> int:
    """1 where the interval of the paired difference puts the first encoder above the second, -1 below, 0 neither."""
    primary = primary_of(result)
    figures = difference["metrics"][primary]
    if figures["low"] is None or figures["low"] <= 0 <= figures["high"]:
        return 0
    return 1 if (figures["low"] > 0) != (primary in LOWER_IS_BETTER) else -1


def verdicts(result: Mapping[str, Any]) -> list[str]:
    """What the paired differences of the primary metric say, one sentence per pair and number of labels."""
    sentences, primary = [], primary_of(result)
    for row in result["differences"]:
        first, second = (result["encoders"][row[key]]["name"] for key in ("first", "second"))
        meaning = {1: f"{first} is better", -1: f"{second} is better", 0: "this test set does not tell them apart"}
        sentences.append(
            f"{result['task']}, {row['labels']:,} labels: {first} minus {second} "
            f"{estimate(result, primary, row['metrics'][primary], signed=True)} {title_of(result, primary)}; "
            f"{meaning[better_of(result, row)]}."
        )
    return sentences


def headline(result: Mapping[str, Any]) -> str:
    """The result with most labels in one sentence, and for how many numbers of labels the encoders differ."""
    most, primary = max(row["labels"] for row in result["summary"]), primary_of(result)
    figures = [
        f"{result['encoders'][row['encoder']]['name']} {estimate(result, primary, row['metrics'][primary])}"
        for row in result["summary"]
        if row["labels"] == most
    ]
    told = f"{title(result)}, {most:,} labels: {title_of(result, primary)} "
    told += f"{', '.join(figures)}."
    if result["differences"]:
        first = result["encoders"][result["differences"][0]["first"]]["name"]
        found = [better_of(result, row) for row in result["differences"]]
        told += (
            f" Of {len(found)} numbers of labels, the interval of the paired difference tells that {first} is better "
            f"than the other at {found.count(1)} and worse at {found.count(-1)}; the rest stay open."
        )
    return told


def protocol_in_words(result: Mapping[str, Any]) -> list[str]:
    """How the figures were made, and how many recordings were left out for which reason."""
    counts, protocol, kind = result["counts"], result["protocol"], kind_of(result)
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
        f"{protocol['seed']}). {_training_in_words(result)} The {sizes['validation']:,} labels of the validation part "
        "come on top of the number given.",
        f"Intervals: {protocol['level']:.0%} percentile bootstrap over {_RESAMPLED[kind]}, "
        f"{protocol['resamples']:,} resamples, the same for all heads, which pairs the differences. They tell the "
        "uncertainty from the test set alone; the spread over draws of labels stands apart. One pretrained encoder was "
        "tested: how much pretraining varies from seed to seed is not in these figures.",
    ]


def _task_in_words(result: Mapping[str, Any]) -> str:
    names, left_out = result["targets"]["names"], result["counts"]["left_out_labels"]
    if kind_of(result) == "number":
        return f"Task {result['task']}, a number to be estimated{f' in {names[0]}' if names[0] else ''}."
    of_which = "" if kind_of(result) == "classes" else ", of which a recording has any number"
    what = "classes" if kind_of(result) == "classes" else "labels"
    told = f"Task {result['task']} with the {what} {', '.join(names)}{of_which}."
    if left_out:
        each = "; ".join(f"{name}: {about['recordings']:,} ({about['reason']})" for name, about in left_out.items())
        told += f" Left out, with the number of their recordings: {each}."
    return told


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
        f"{settings['checks']} times on the way the network is judged by {METRIC_TITLES[primary_of(result)]} on the "
        f"validation part; the best of these is tested, and {settings['patience']} in turn without a gain end it."
    )


def _head_in_words(result: Mapping[str, Any]) -> str:
    protocol, kind = result["protocol"], kind_of(result)
    chosen_by = f"by {METRIC_TITLES[primary_of(result)]} on the validation part."
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
    strengths = ", ".join(f"{value:g}" for value in protocol["strengths"])
    return (
        f"On each, {model[kind]} on embeddings standardised by the drawn recordings; C, the inverse strength of the "
        f"penalty, is chosen from {strengths} {chosen_by}"
    )

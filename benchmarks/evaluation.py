"""Evaluating linear heads from embeddings that are computed once, against encoding again for every head.

    python benchmarks/evaluation.py RUN DATA [--tasks rhythm,sex] [--labels 25,50,100,250,1] [--draws 20]

RUN: a run directory; DATA: a prepared data set with recordings that the run has not seen. The evaluation from stored
embeddings is timed whole, for one encoder. Encoding again is timed on a few heads of each number of labels and
scaled up to all: one pass over the recordings that a head needs (drawn, validation, test), compiled beforehand.
Training a head through the frozen encoder, as is often done, would take a pass for every epoch.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ecg_advmask.data.batches import ordered
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.evaluate.eligibility import windows_of
from ecg_advmask.evaluate.evaluation import evaluate
from ecg_advmask.evaluate.experiment import RunOnData
from ecg_advmask.evaluate.linear import linear_fit
from ecg_advmask.evaluate.protocol import Protocol

BATCH = 256


@dataclass(frozen=True)
class Times:
    """Seconds of one encoder on one task: encoding all recordings once; fitting and measuring all heads; encoding again
    what each of the heads needs."""

    recordings: int
    heads: int
    encoding_once: float
    fitting: float
    encoding_again: float


def times_of(judged: RunOnData, protocol: Protocol, sample: int) -> Times:
    """Time one encoder on one task; encoding again on a sample of the draws of each number of labels."""
    split, encode = judged.split, encoder_of(judged)
    everything = np.arange(len(split.ids))
    encode(everything[:BATCH])  # compiles
    began = time.perf_counter()
    embeddings = encode(everything)
    encoded = time.perf_counter()
    evaluation = evaluate(linear_fit(embeddings, split, protocol), split, protocol)
    fitted = time.perf_counter()
    again = 0.0
    for at in evaluation:
        drawn = [split.draw(at.fraction, draw.seed) for draw in at.draws[:sample]]
        needed = [np.concatenate([rows, split.rows["validation"], split.rows["test"]]) for rows in drawn]
        again += len(at.draws) * statistics.median(seconds(encode, rows) for rows in needed)
    heads = sum(len(at.draws) for at in evaluation)
    return Times(len(everything), heads, encoded - began, fitted - encoded, again)


def encoder_of(judged: RunOnData) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """A function that encodes the recordings of the division in some rows, the first window of each."""
    assert judged.run is not None
    encoder = judged.run.encoder()
    embed = tf.function(lambda signals: encoder(scale_to_unit(signals), training=False), jit_compile=True)
    windows, recording_of_window = windows_of(judged.data.records, judged.split.ids)
    window_of = windows[np.unique(recording_of_window, return_index=True)[1]]

    def encode(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        embedded = np.zeros((len(rows), encoder.output_shape[-1]), np.float32)
        place_of = {window: place for place, window in enumerate(window_of[rows].tolist())}
        for signals, batch in ordered(judged.data, BATCH, window_of[rows], judged.config.window_samples):
            filled = tf.pad(signals, [[0, BATCH - len(signals)], [0, 0], [0, 0]])
            places = [place_of[window] for window in batch.numpy().tolist()]
            embedded[places] = embed(filled).numpy()[: len(places)]
        return embedded

    return encode


def seconds(work: Callable[[Any], Any], argument: Any) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    work(argument)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--tasks", default="rhythm,sex")
    parser.add_argument("--labels", default="25,50,100,250,1")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--encoders", type=int, default=12, help="encoders that the times are scaled up to")
    parser.add_argument("--sample", type=int, default=3, help="heads of each number of labels that are encoded again")
    given = parser.parse_args()
    protocol = Protocol(tuple(float(word) for word in given.labels.split(",")), given.draws)
    times = []
    for task in given.tasks.split(","):
        times.append(times_of(RunOnData.open(given.run, given.data, task, protocol), protocol, given.sample))
        one = times[-1]
        print(
            f"{task}: {one.recordings} recordings encoded in {one.encoding_once:.1f} s, {one.heads} heads fitted and "
            f"measured in {one.fitting:.1f} s; encoding again for every head {one.encoding_again:.0f} s"
        )
    fitting, again = sum(one.fitting for one in times), sum(one.encoding_again for one in times)
    once = fitting + max(one.encoding_once for one in times)  # the same embeddings serve every task
    for encoders in (1, given.encoders):
        print(
            f"{encoders} encoders, {encoders * sum(one.heads for one in times)} heads: {encoders * once / 60:.1f} min "
            f"from embeddings computed once, {encoders * (fitting + again) / 60:.1f} min with encoding again, "
            f"ratio {(fitting + again) / once:.1f}"
        )


if __name__ == "__main__":
    main()

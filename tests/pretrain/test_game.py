"""Each player gets the gradient of its own objective and nothing else, and touches its own variables only.

On networks of three layers; `test_presets.py` shows that the gradients reach every variable of those of the method.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ecg_advmask.config import Config
from ecg_advmask.pretrain.losses import nt_xent, nt_xent_of_patients, sparsity_penalty
from ecg_advmask.pretrain.simclr import _spread
from pretrain.small import small

TINY = Config(
    sampling_rate_hz=125,
    window_seconds=2.0,
    batch_size=6,
    accumulation=1,
    jit_compile=False,
    learning_rate=1e-2,
    adversary_learning_rate=1e-2,
)
UPDATES = ["alternating", "simultaneous"]


@pytest.fixture(autouse=True)
def same_initial_weights() -> None:
    keras.utils.set_random_seed(7)


def model_of(**changes: Any) -> Any:
    config = dataclasses.replace(TINY, **changes)
    model = small(config)
    rates = (config.learning_rate, config.adversary_learning_rate)
    model.compile(*(keras.optimizers.SGD(rate) for _, rate in zip(model.optimizers, rates, strict=False)))
    return model


def windows_for(config: Config, seed: int = 0) -> Any:
    shape = (config.batch_size * config.accumulation, config.window_samples, 12)
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def values(variables: list[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def learner(model: Any) -> list[Any]:
    return model.encoder.variables + model.projector.variables


def all_equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def close(first: list[Any], second: list[Any]) -> None:
    """Equal up to float32 rounding, which biases before a batch normalisation (true gradient: zero) consist of."""
    one, other = (
        np.concatenate([np.ravel(keras.ops.convert_to_numpy(part)) for part in all_]) for all_ in (first, second)
    )
    assert np.linalg.norm(one - other) < 1e-3 * np.linalg.norm(other)


def unit_scaled(x: Any) -> Any:
    low = tf.reduce_min(x, axis=(1, 2), keepdims=True)
    high = tf.reduce_max(x, axis=(1, 2), keepdims=True)
    return (x - low) / (high - low)


def occluded(view: Any, covered: Any, masked: Any, config: Config) -> Any:
    """A view without what is covered, before it is scaled; frames of the spectrum are cut and joined by TensorFlow."""
    if config.mask_domain == "time":
        return view * (1 - covered * masked[:, None, :])
    hop, samples = config.mask_hop_samples, view.shape[1]
    hops = -(-samples // hop)
    mean = tf.reduce_mean(view, axis=(1, 2), keepdims=True)
    leads = tf.pad(tf.transpose(view - mean, (0, 2, 1)), ((0, 0), (0, 0), (hop, (hops + 1) * hop - samples)))
    window = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)).astype(np.float32)
    spectrum = tf.signal.rfft(tf.signal.frame(leads, 2 * hop, hop) * window)
    kept = 1 - tf.transpose(covered, (0, 3, 1, 2)) * masked[:, :, None, None]
    frames = tf.signal.irfft(spectrum * tf.cast(kept, tf.complex64), [2 * hop]) * window
    joined = tf.signal.overlap_and_add(frames, hop)[:, :, hop : hop + samples]
    return mean + tf.transpose(joined, (0, 2, 1))


def adversary_gradient_written_out(model: Any, windows: Any, drawn: dict[str, np.ndarray]) -> list[np.ndarray]:
    """d(-L_SSL + L_sparse)/dA with the two terms differentiated by tapes of their own; nothing of the model's step."""
    config, batch = model.config, model.config.batch_size
    total: list[np.ndarray] | None = None
    before = values(model.variables)
    for first in range(0, len(windows), batch):
        view = unit_scaled(windows[first : first + batch])
        chosen_here, masked_here = (drawn[name][first : first + batch] for name in ("chosen", "masked"))
        view_1, view_2 = (
            (view, view) if config.pairing == "simclr" else tf.split(windows[first : first + batch], 2, axis=1)
        )
        if config.pairing == "cmsc":
            view_1, view_2 = unit_scaled(view_1), unit_scaled(view_2)
        with tf.GradientTape() as ssl_tape, tf.GradientTape() as sparse_tape:
            masks = model.adversary(view_2, training=True)
            seen = masks
            if config.penalised_area == "cover":
                seen = tf.sigmoid(config.mask_sharpness * (masks - 0.5))
            sparse = sparsity_penalty(tf.reshape(seen, (batch, -1, config.masks)), config.alpha, config.ratio)
            if config.masks in (1, 12):
                used = [masks]
            elif config.mask_choice == "all":
                used = [masks[..., i : i + 1] for i in range(config.masks)]
            else:
                used = [tf.stack([masks[i, ..., int(np.argmax(chosen_here[i]))] for i in range(batch)])[..., None]]
            loss = tf.constant(0.0)
            for mask in used:
                covered = tf.sigmoid(config.mask_sharpness * (mask - 0.5))
                masked = unit_scaled(occluded(view_2, covered, masked_here, config))
                z_1 = model.projector(model.encoder(view_1, training=True), training=True)
                z_2 = model.projector(model.encoder(masked, training=True), training=True)
                loss += nt_xent(z_1, z_2, config.temperature, config.negatives)
        ssl_gradient = ssl_tape.gradient(loss, model.adversary.trainable_variables)
        sparse_gradient = sparse_tape.gradient(sparse, model.adversary.trainable_variables)
        here = [(s - c).numpy() for s, c in zip(sparse_gradient, ssl_gradient, strict=True)]
        total = here if total is None else [a + b for a, b in zip(total, here, strict=True)]
    for variable, value in zip(model.variables, before, strict=True):  # undo what the passes did to moving statistics
        variable.assign(value)
    assert total is not None
    return [gradient / config.accumulation for gradient in total]


def received_by(optimizer: Any, run: Callable[[], object]) -> list[np.ndarray]:
    """The gradients that reach an optimizer while ``run`` runs, eagerly."""
    received: list[list[np.ndarray]] = []
    apply = optimizer.apply
    optimizer.apply = lambda gradients, variables: (received.append(values(gradients)), apply(gradients, variables))
    try:
        run()
    finally:
        optimizer.apply = apply
    (only,) = received
    return only


FACTORS: dict[str, tuple[Any, ...]] = {
    "masks": (1, 2, 3, 12),
    "mask_domain": ("time", "spectrum"),
    "update": ("alternating", "simultaneous"),
    "accumulation": (1, 3),
    "mask_choice": ("single", "all"),
    "pairing": ("simclr", "cmsc"),
    "negatives": ("both", "other"),
    "mask_activation": ("auto", "sigmoid"),
    "mask_lead_dropout": (0.0, 0.4),
    "penalised_area": ("mask", "cover"),
    "mask_frame_seconds": (0.4, 1.0),
}


def pairs_of(case: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    return set(itertools.combinations(case.items(), 2))


def pairwise(factors: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Cases in which every two values of two factors meet: each takes, of 200 random ones, the most that are new."""
    rng = np.random.default_rng(0)
    open_pairs = {
        ((one, a), (other, b))
        for one, other in itertools.combinations(factors, 2)
        for a in factors[one]
        for b in factors[other]
    }
    cases = []
    while open_pairs:
        drawn = [{name: of[rng.integers(len(of))] for name, of in factors.items()} for _ in range(200)]
        cases.append(max(drawn, key=lambda case: len(pairs_of(case) & open_pairs)))
        open_pairs -= pairs_of(cases[-1])
    return cases


def written(case: Mapping[str, Any]) -> str:
    return "-".join(map(str, case.values()))


@pytest.mark.parametrize(
    "changes",
    [
        *pairwise(FACTORS),
        *(pytest.param(case, marks=pytest.mark.exhaustive) for case in pairwise(FACTORS | {"seed": tuple(range(10))})),
    ],
    ids=written,
)
def test_the_adversary_receives_the_gradient_of_its_own_objective(changes: dict[str, Any]) -> None:
    """Also under `alternating`, where it is taken through the encoder that was just updated."""
    model = model_of(**changes)
    update = model.config.update
    windows = windows_for(model.config)
    state_of_random_numbers = values([model.seed_generator.state])
    drawn = {name: keras.ops.convert_to_numpy(value) for name, value in model.pairs(windows).items()}
    model.seed_generator.state.assign(state_of_random_numbers[0])
    if update == "simultaneous":
        expected = adversary_gradient_written_out(model, windows, drawn)
        received = received_by(model.adversary_optimizer, lambda: model.train_step(windows))
    else:
        before = values(model.adversary.trainable_variables)
        received = received_by(model.adversary_optimizer, lambda: model.train_step(windows))
        for variable, value in zip(model.adversary.trainable_variables, before, strict=True):
            variable.assign(value)
        expected = adversary_gradient_written_out(model, windows, drawn)
    assert max(np.abs(gradient).max() for gradient in expected) > 1e-4
    close(received, expected)


@pytest.mark.parametrize(("accumulation", "domain"), [(1, "time"), (2, "time"), (2, "spectrum")])
def test_an_encoder_step_leaves_the_adversary_bitwise_and_the_reverse(accumulation: int, domain: str) -> None:
    model = model_of(accumulation=accumulation, mask_domain=domain)
    windows = windows_for(model.config)
    pairs = model.pairs(windows)

    adversary = values(model.adversary.variables)
    gradients, _ = model.accumulated(model.learner_gradients, pairs)
    model.optimizer.apply(gradients, model.learner_variables)
    assert all_equal(adversary, values(model.adversary.variables))

    learner_before = values(learner(model))
    gradients = model.accumulated(model.adversary_gradients, pairs)
    model.adversary_optimizer.apply(gradients, model.adversary.trainable_variables)
    assert all_equal(learner_before, values(learner(model)))
    assert not all_equal(adversary, values(model.adversary.variables))


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(("moving", "still"), [("learner", "adversary"), ("adversary", "learner")])
def test_a_player_whose_rate_is_zero_keeps_its_weights_while_the_other_learns(
    update: str, moving: str, still: str
) -> None:
    rates = {"learner": "learning_rate", "adversary": "adversary_learning_rate"}
    model = model_of(update=update, **{rates[still]: 0.0})
    weights = {"learner": model.learner_variables, "adversary": model.adversary.trainable_variables}
    before = {player: values(variables) for player, variables in weights.items()}
    model.train_step(windows_for(model.config))
    assert all_equal(before[still], values(weights[still]))
    assert not all_equal(before[moving], values(weights[moving]))


@pytest.mark.parametrize(("update", "domain"), [*((update, "time") for update in UPDATES), (UPDATES[1], "spectrum")])
def test_every_trainable_variable_gets_a_gradient(update: str, domain: str) -> None:
    model = model_of(update=update, masks=4, mask_domain=domain)
    windows = windows_for(model.config)
    for optimizer in (model.optimizer, model.adversary_optimizer):
        for gradient in received_by(optimizer, lambda: model.train_step(windows)):
            assert np.isfinite(gradient).all()
            assert np.abs(gradient).max() > 0


def test_learner_gradient_is_the_same_in_both_update_modes() -> None:
    received = []
    for update in UPDATES:
        keras.utils.set_random_seed(7)
        model = model_of(update=update)
        received.append(received_by(model.optimizer, lambda model=model: model.train_step(windows_for(model.config))))
    close(received[0], received[1])


def test_accumulation_averages_the_gradients_of_its_batches() -> None:
    windows = windows_for(dataclasses.replace(TINY, accumulation=3))
    keras.utils.set_random_seed(7)
    together = model_of(method="simclr", accumulation=3, augmentations=())
    received = received_by(together.optimizer, lambda: together.train_step(windows))
    alone = []
    for part in tf.split(windows, 3):
        keras.utils.set_random_seed(7)
        model = model_of(method="simclr", augmentations=())
        alone.append(received_by(model.optimizer, lambda model=model, part=part: model.train_step(part)))
    close(received, [np.mean(gradients, axis=0) for gradients in zip(*alone, strict=True)])


@pytest.mark.parametrize(
    ("update", "masks", "accumulation", "domain"),
    [
        ("alternating", 4, 2, "time"),
        ("simultaneous", 12, 1, "spectrum"),
        *(
            pytest.param(*case, marks=pytest.mark.exhaustive)
            for case in itertools.product(UPDATES, (1, 4, 12), (1, 2), ("time", "spectrum"))
        ),
    ],
)
def test_a_step_compiled_by_xla_is_the_eager_step(update: str, masks: int, accumulation: int, domain: str) -> None:
    """With a soft binarisation: the sharp one turns a change of 1e-7 in the input into one of 2 % in the gradient."""
    changes, logs = [], []
    for compiled in (False, True):
        keras.utils.set_random_seed(7)
        changed = {"update": update, "masks": masks, "accumulation": accumulation, "mask_domain": domain}
        model = model_of(**changed, mask_sharpness=5.0)
        before = values(model.variables)
        step = tf.function(model.train_step, jit_compile=True) if compiled else model.train_step
        result = step(windows_for(model.config))
        logs.append({name: float(value) for name, value in result.items()})
        after = values(model.variables)
        changes.append(np.concatenate([np.ravel(a - b.astype(a.dtype)) for a, b in zip(after, before, strict=True)]))
    assert np.linalg.norm(changes[1] - changes[0]) < 1e-3 * np.linalg.norm(changes[0])
    assert logs[1] == pytest.approx(logs[0], abs=1e-3)


def test_occluding_nothing_and_everything() -> None:
    model = model_of()
    view = unit_scaled(windows_for(model.config))
    leads = tf.ones((len(view), 12))
    nothing = model.occlude(view, tf.zeros((len(view), 250, 1)), leads)
    np.testing.assert_allclose(nothing, view, atol=1e-6)
    everything = model.occlude(view, tf.ones((len(view), 250, 1)), leads)
    assert np.isfinite(everything).all()


def test_a_mask_per_lead_occludes_its_own_lead() -> None:
    model = model_of(masks=12)
    view = unit_scaled(windows_for(model.config))
    mask = np.zeros((len(view), 250, 12), np.float32)
    mask[:, 100:150, 3] = 1
    occluded = model.occlude(view, mask, tf.ones((len(view), 12))).numpy()
    assert (occluded[:, 100:150, 3] < 1e-6).all()
    others = np.delete(np.arange(12), 3)
    np.testing.assert_allclose(occluded[:, :, others], view.numpy()[:, :, others], atol=1e-5)


@pytest.mark.parametrize(("value", "cover"), [(0.56, 1.0), (0.44, 0.0)])
def test_a_soft_mask_that_occludes_all_or_nothing_is_penalised_where_the_cover_is(value: float, cover: float) -> None:
    """Of the mean of the mask, which is modest, the penalty says nothing."""
    masks = tf.fill((6, 250, 1), value)
    by_mask, logs = model_of(alpha=1.0).penalise(masks)
    by_cover, _ = model_of(alpha=1.0, penalised_area="cover").penalise(masks)
    assert float(by_mask) == pytest.approx(1 / np.sin(np.pi * value), rel=1e-5)
    assert float(by_cover) == pytest.approx(1 / np.sin(np.pi / (1 + np.exp(-50 * (value - 0.5)))), rel=1e-3)
    assert float(by_cover) > 6 * float(by_mask)
    assert float(logs["mask_cover"]) == cover


def test_masks_are_chosen_uniformly() -> None:
    model = model_of(masks=4, batch_size=4000)
    chosen = keras.ops.convert_to_numpy(model.pairs(tf.zeros((4000, 250, 12)))["chosen"])
    assert (chosen.sum(axis=1) == 1).all()
    assert np.abs(chosen.mean(axis=0) - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000)


def test_views_of_cmsc_are_the_two_halves() -> None:
    model = model_of(pairing="cmsc")
    windows = windows_for(model.config)
    pairs = model.pairs(windows)
    first, second = pairs["view_1"], pairs["view_2"]
    np.testing.assert_allclose(first, unit_scaled(windows[:, :125]), atol=1e-6)
    np.testing.assert_allclose(second, unit_scaled(windows[:, 125:]), atol=1e-6)


def test_augmentations_of_the_second_view_alone_come_after_those_of_both() -> None:
    """Blocks of a stated share: that many samples of each lead of the second half have its minimum.

    The first half has none.
    """
    model = model_of(
        method="simclr",
        pairing="cmsc",
        augment="both",
        augmentations=("gaussian",),
        second_augmentations=("block_mask(share=0.4)", "baseline_shift(maximum=0)"),
    )
    pairs = model.pairs(windows_for(model.config))
    first, second = ((np.asarray(pairs[view]) == 0).sum(axis=1) for view in ("view_1", "view_2"))
    assert (first.sum(axis=1) == 1).all(), "noise and no block: a single smallest sample"
    assert ((second == 50) | (second == 51)).all(), "40 % of 125 samples of each lead, and where the minimum was"
    plain = model_of(method="simclr", pairing="cmsc", augment="both", augmentations=("gaussian",))
    same = plain.pairs(windows_for(model.config))
    np.testing.assert_array_equal(pairs["view_1"], same["view_1"])
    rest = np.where(np.asarray(pairs["view_2"]) > 0, same["view_2"], 0)
    np.testing.assert_allclose(pairs["view_2"], unit_scaled(rest), atol=1e-6)


def test_dropout_spares_leads_at_the_stated_rate() -> None:
    model = model_of(mask_lead_dropout=0.3, batch_size=4000)
    masked = keras.ops.convert_to_numpy(model.pairs(tf.zeros((4000, 250, 12)))["masked"])
    assert set(np.unique(masked)) == {0.0, 1.0}
    assert masked.mean() == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / 48000))
    view = unit_scaled(windows_for(dataclasses.replace(TINY, batch_size=6)))
    leads = np.ones((6, 12), np.float32)
    leads[:, 4] = 0
    occluded = model.occlude(view, tf.ones((6, 250, 1)), leads).numpy()
    assert np.ptp(occluded[:, :, [0, 1, 2, 3, 5]], axis=1).max() < 1e-4
    assert np.ptp(occluded[:, :, 4], axis=1).min() > 0.5


@pytest.mark.parametrize(("update", "compiled"), [("alternating", True), ("simultaneous", False)])
def test_the_adversary_moves_when_it_is_its_turn(update: str, compiled: bool) -> None:
    model = model_of(update=update, adversary_warmup_steps=2, adversary_every=3)
    step = tf.function(model.train_step, jit_compile=True) if compiled else model.train_step
    moved = []
    for _ in range(7):
        before = values(model.adversary.trainable_variables)
        learner_before = values(model.learner_variables)
        step(windows_for(model.config))
        moved.append(not all_equal(before, values(model.adversary.trainable_variables)))
        assert not all_equal(learner_before, values(model.learner_variables))
    assert moved == [False, False, True, False, False, True, False]


@pytest.mark.parametrize("update", UPDATES)
def test_a_frozen_adversary_keeps_its_weights_and_follows_the_statistics(update: str) -> None:
    model = model_of(update=update, adversary_objective="none")
    weights, statistics = values(model.adversary.trainable_variables), values(model.adversary.non_trainable_variables)
    logs = model.train_step(windows_for(model.config))
    assert all_equal(weights, values(model.adversary.trainable_variables))
    assert not all_equal(statistics, values(model.adversary.non_trainable_variables))
    assert 0 < float(logs["mask_area"]) < 1


@pytest.mark.parametrize("update", UPDATES)
def test_sparsity_alone_trains_the_adversary_where_it_is_to(update: str) -> None:
    model = model_of(update=update, adversary_objective="sparsity")
    windows = windows_for(model.config)
    with tf.GradientTape() as tape:
        masks = model.adversary(unit_scaled(windows), training=True)
        penalty = sparsity_penalty(masks, model.config.alpha, model.config.ratio)
    expected = tape.gradient(penalty, model.adversary.trainable_variables)
    received = received_by(model.adversary_optimizer, lambda: model.train_step(windows))
    assert max(np.abs(gradient).max() for gradient in received) > 1e-5
    close(received, expected)


@pytest.mark.parametrize("method", ["simclr", "advmask"])
def test_a_step_takes_windows_alone_in_a_tuple_and_with_patients(method: str) -> None:
    config = dataclasses.replace(TINY, method=method)
    windows = windows_for(config)
    losses = []
    for data in (windows, (windows,), (windows, tf.range(config.batch_size))):
        keras.utils.set_random_seed(7)
        losses.append(float(model_of(method=method).train_step(data)["loss"]))
    assert losses[0] == losses[1] == losses[2]


def test_views_of_3kg_are_both_augmented_and_contrasted_by_patient() -> None:
    model = model_of(method="simclr", augment="both", augmentations=("gaussian",), positives="patient")
    windows = windows_for(model.config)
    patients = tf.constant([3, 3, 5, 9, 9, 9], tf.int64)
    pairs = model.pairs((windows, patients))
    clean = unit_scaled(windows).numpy()
    assert np.abs(pairs["view_1"] - clean).max() > 1e-3
    assert np.abs(pairs["view_2"] - clean).max() > 1e-3
    assert np.abs(pairs["view_1"] - pairs["view_2"]).max() > 1e-3
    z_1, z_2 = (
        model.projector(model.encoder(pairs[view], training=True), training=True) for view in ("view_1", "view_2")
    )
    loss, _ = model.contrast(pairs, pairs["view_2"])
    assert float(loss) == pytest.approx(float(nt_xent_of_patients(z_1, z_2, patients)), abs=1e-5)
    assert abs(float(loss) - float(nt_xent(z_1, z_2))) > 1e-2


def test_spread_and_rank_of_embeddings() -> None:
    rng = np.random.default_rng(0)
    even = _spread(rng.normal(size=(4000, 16)).astype(np.float32))
    assert float(even["embedding_std"]) == pytest.approx(1, abs=0.02)
    assert float(even["embedding_rank"]) == pytest.approx(16, rel=0.02)
    collapsed = _spread(np.tile(rng.normal(size=(1, 16)), (50, 1)).astype(np.float32))
    assert float(collapsed["embedding_std"]) < 1e-3
    in_a_plane = rng.normal(size=(2000, 2)) @ rng.normal(size=(2, 16))
    unit = in_a_plane / np.linalg.norm(in_a_plane, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(np.cov(unit.T))
    found = float(_spread(in_a_plane.astype(np.float32))["embedding_rank"])
    assert found == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-3)
    assert 1 < found <= 2.001

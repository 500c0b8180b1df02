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


def binarised(masks: Any, config: Config) -> Any:
    """As the settings have it, which the tiny adversary's softmax (none of N = 1 and 12) makes plain."""
    if config.mask_binarisation == "none":
        return masks
    soft = config.masks in (2, 3, 4) and config.mask_activation != "sigmoid"
    step = 1 / config.masks if config.mask_threshold == "auto" and soft else 0.5
    return 1 / (1 + tf.exp(-config.mask_sharpness * (masks - step)))


def penalty_of(masks: Any, config: Config) -> Any:
    """Of masks (B or 2B, L, N): the area penalty, and the entropy of a softmax over areas; of two views the sum."""
    found = sparsity_penalty(masks, config.alpha, config.ratio)
    weights = tf.exp(tf.reduce_mean(masks, axis=1))
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    found -= config.entropy_weight * tf.reduce_mean(tf.reduce_sum(weights * tf.math.log(weights), axis=1))
    return found * (len(masks) // config.batch_size)


def views_of(windows: Any, drawn: Any, config: Config) -> tuple[Any, Any]:
    """The view that stays, or the first one, and the view that is masked, which is the one that was drawn."""
    first, second = tf.split(windows, 2, axis=1) if config.pairing == "cmsc" else (windows, windows)
    first, second = unit_scaled(first), unit_scaled(second)
    if config.masked_view in ("second", "both"):
        return first, second
    if config.masked_view == "first":
        return second, first
    is_first = np.abs(first - drawn).max(axis=(1, 2), keepdims=True) < 1e-6
    return tf.where(is_first, second, first), tf.where(is_first, first, second)


def adversary_gradient_written_out(model: Any, windows: Any, drawn: dict[str, np.ndarray]) -> list[np.ndarray]:
    """d(-L_SSL + L_sparse)/dA with the two terms differentiated by tapes of their own; nothing of the model's step."""
    config, batch = model.config, model.config.batch_size
    total: list[np.ndarray] | None = None
    before = values(model.variables)
    for first in range(0, len(windows), batch):
        view_1, view_2 = views_of(windows[first : first + batch], drawn["view_2"][first : first + batch], config)
        to_mask = tf.concat([view_1, view_2], 0) if config.masked_view == "both" else view_2
        share = len(to_mask) // batch
        chosen_here, masked_here = (
            drawn[name][share * first : share * (first + batch)] for name in ("chosen", "masked")
        )
        with tf.GradientTape() as ssl_tape, tf.GradientTape() as sparse_tape:
            masks = model.adversary(to_mask, training=True)
            seen = binarised(masks, config) if config.penalised_area == "cover" else masks
            sparse = penalty_of(tf.reshape(seen, (len(to_mask), -1, config.masks)), config)
            if config.masks in (1, 12):
                used = [masks]
            elif config.mask_choice == "all":
                used = [masks[..., i : i + 1] for i in range(config.masks)]
            else:
                used = [
                    tf.stack([masks[i, ..., int(np.argmax(chosen_here[i]))] for i in range(len(to_mask))])[..., None]
                ]
            loss = tf.constant(0.0)
            for mask in used:
                masked = unit_scaled(occluded(to_mask, binarised(mask, config), masked_here, config))
                z_1, z_2 = (
                    model.projector(model.encoder(view, training=True), training=True)
                    for view in (masked[:batch] if config.masked_view == "both" else view_1, masked[-batch:])
                )
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
    "negatives": ("both", "other", "decoupled"),
    "masked_view": ("second", "first", "either", "both"),
    "mask_binarisation": ("sigmoid", "none"),
    "mask_threshold": ("half", "auto"),
    "entropy_weight": (0.0, 3.0),
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


CASES = pairwise(FACTORS)


@pytest.mark.parametrize(
    "changes",
    [
        *CASES[:8],  # hold most pairs
        *(pytest.param(case, marks=pytest.mark.slow) for case in CASES[8:]),
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


def as_published(model: Any, windows: Any, accumulation: int) -> list[np.ndarray]:
    """What the adversary's optimizer gets in the published code: PyTorch's gradients, which add up until cleared.

    Each batch has a pass for the encoder, whose loss is differentiated with respect to the masks as well, and one for
    the adversary, which the encoder's gradient does not see; after the last batch each player moves when it had its
    pass. Of the project's code it takes networks and losses alone.
    """
    config, learner_of_it, adversary = model.config, model.learner_variables, model.adversary.trainable_variables
    gradients = {id(variable): np.zeros(variable.shape, np.float64) for variable in [*learner_of_it, *adversary]}

    def backward(batch: Any, sign: float, penalty: float, variables: list[Any]) -> None:
        view = unit_scaled(batch)
        with tf.GradientTape() as tape:
            masks = model.adversary(view, training=True)
            masked = unit_scaled(view * (1 - binarised(masks, config)))
            z_1, z_2 = (model.projector(model.encoder(x, training=True), training=True) for x in (view, masked))
            loss = sign * nt_xent(z_1, z_2, config.temperature)
            loss = (loss + penalty * sparsity_penalty(masks, config.alpha, config.ratio)) / accumulation
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            gradients[id(variable)] += gradient.numpy()

    batches = tf.split(windows, accumulation)
    for number, batch in enumerate(batches, 1):
        backward(batch, 1.0, 0.0, [*learner_of_it, *adversary])
        if number == len(batches):
            for variable in learner_of_it:
                variable.assign_sub(config.learning_rate * gradients[id(variable)])
        backward(batch, -1.0, 1.0, adversary)
    return [gradients[id(variable)] for variable in adversary]


@pytest.mark.parametrize(
    ("accumulation", "masks"), [(4, 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((1, 1), (3, 12)))]
)
def test_the_published_gradient_is_what_the_published_bookkeeping_leaves(accumulation: int, masks: int) -> None:
    """The learner moves as in the game; what remains of its loss is no rounding error, and less with more batches."""
    settings = {"accumulation": accumulation, "masks": masks, "learning_rate": 1.0, "mask_sharpness": 10.0}
    found = {}
    for objective in ("published-gradient", "sparsity"):
        keras.utils.set_random_seed(7)
        model = model_of(adversary_objective=objective, **settings)
        windows = windows_for(model.config)
        statistics = values(model.adversary.non_trainable_variables)
        found[objective] = received_by(model.adversary_optimizer, lambda m=model, w=windows: m.train_step(w))
        found[objective + ", learner"] = values(model.learner_variables)
        assert not all_equal(statistics, values(model.adversary.non_trainable_variables))
    keras.utils.set_random_seed(7)
    again = model_of(**settings)
    expected = as_published(again, windows, accumulation)
    close(found["published-gradient"], expected)
    close(values(again.learner_variables), found["published-gradient, learner"])
    assert all_equal(found["published-gradient, learner"], found["sparsity, learner"])
    remainder, penalty = (
        np.concatenate([np.ravel(part) for part in parts])
        for parts in (
            [p - s for p, s in zip(found["published-gradient"], found["sparsity"], strict=True)],
            found["sparsity"],
        )
    )
    assert np.linalg.norm(remainder) > 0.02 * np.linalg.norm(penalty)


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


COMPILED: dict[str, tuple[Any, ...]] = {
    "update": ("alternating", "simultaneous"),
    "masks": (1, 4, 12),
    "accumulation": (1, 2),
    "mask_domain": ("time", "spectrum"),
}


@pytest.mark.parametrize(
    "changes",
    [
        {"update": "simultaneous", "masks": 12, "mask_domain": "spectrum"},
        *(
            pytest.param(case, marks=pytest.mark.slow)
            for case in (
                {"update": "alternating", "masks": 4, "accumulation": 2, "masked_view": "both", "entropy_weight": 3.0},
                {"adversary_objective": "published-gradient", "accumulation": 2, "learning_rate": 1.0},
            )
        ),
        *(
            pytest.param(dict(zip(COMPILED, case, strict=True)), marks=pytest.mark.exhaustive)
            for case in itertools.product(*COMPILED.values())
        ),
    ],
    ids=written,
)
def test_a_step_compiled_by_xla_is_the_eager_step(changes: dict[str, Any]) -> None:
    """With a soft binarisation: the sharp one turns a change of 1e-7 in the input into one of 2 % in the gradient."""
    moved, logs = [], []
    for compiled in (False, True):
        keras.utils.set_random_seed(7)
        model = model_of(**changes, mask_sharpness=5.0)
        before = values(model.variables)
        step = tf.function(model.train_step, jit_compile=True) if compiled else model.train_step
        result = step(windows_for(model.config))
        logs.append({name: float(value) for name, value in result.items()})
        after = values(model.variables)
        moved.append(np.concatenate([np.ravel(a - b.astype(a.dtype)) for a, b in zip(after, before, strict=True)]))
    assert np.linalg.norm(moved[1] - moved[0]) < 1e-3 * np.linalg.norm(moved[0])
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


@pytest.mark.parametrize(
    ("changes", "binarisation"),
    [
        ({"masks": 4}, (50.0, 0.5)),
        ({"masks": 4, "mask_threshold": "auto"}, (50.0, 0.25)),
        ({"masks": 4, "mask_threshold": "auto", "mask_activation": "sigmoid"}, (50.0, 0.5)),
        ({"masks": 12, "mask_threshold": "auto", "mask_activation": "softmax"}, (50.0, 1 / 12)),
        ({"masks": 1, "mask_threshold": "auto", "mask_sharpness": 8}, (8.0, 0.5)),
        ({"masks": 4, "mask_binarisation": "none"}, (None, 0.5)),
    ],
)
def test_the_step_of_the_binarisation_and_the_cover_that_follows_it(
    changes: dict[str, Any], binarisation: tuple[float | None, float]
) -> None:
    config = dataclasses.replace(TINY, **changes)
    assert config.binarisation == binarisation
    slope, threshold = binarisation
    model = model_of(**changes)
    values_of_masks = tf.constant(np.linspace(0, 1, 101, dtype=np.float32)[None, :, None] * np.ones(config.masks, "f"))
    covered = np.asarray(model.binarised(values_of_masks))
    _, logs = model.penalise(values_of_masks)
    if slope is None:
        np.testing.assert_array_equal(covered, values_of_masks)
        assert float(logs["mask_cover"]) == float(logs["mask_area"]) == pytest.approx(0.5)
    else:
        assert float(np.interp(0.5, covered[0, :, 0], np.linspace(0, 1, 101))) == pytest.approx(threshold, abs=1e-3)
        assert float(logs["mask_cover"]) == pytest.approx(np.mean(np.linspace(0, 1, 101) > threshold + 1e-6), abs=0.011)


def test_masks_with_a_threshold_of_their_even_share_occlude_where_those_of_half_do_not() -> None:
    """Four masks of a softmax that is nearly even: none exceeds one half, all that exceed a quarter occlude."""
    logits = np.random.default_rng(0).normal(size=(6, 250, 4)).astype(np.float32) / 5
    masks = tf.nn.softmax(logits)
    half, even = (model_of(masks=4, mask_threshold=kind).penalise(masks)[1]["mask_cover"] for kind in ("half", "auto"))
    assert float(half) == 0
    assert float(even) == pytest.approx(float(np.mean(masks > 0.25)))
    assert 0.3 < float(even) < 0.6


@pytest.mark.parametrize(("masked_view", "share"), [("first", 1.0), ("either", 0.5), ("second", 0.0)])
def test_the_view_that_is_masked(masked_view: str, share: float) -> None:
    """The two halves of a window are exchanged as often as stated, and both stay what they are."""
    model = model_of(pairing="cmsc", masked_view=masked_view, batch_size=400)
    windows = windows_for(model.config)
    first, second = (unit_scaled(half).numpy() for half in tf.split(windows, 2, axis=1))
    pairs = model.pairs(windows)
    exchanged = np.isclose(pairs["view_2"], first, atol=1e-6).all(axis=(1, 2))
    assert exchanged.mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 400))
    for view, of_exchanged, of_others in (("view_1", second, first), ("view_2", first, second)):
        expected = np.where(exchanged[:, None, None], of_exchanged, of_others)
        np.testing.assert_allclose(pairs[view], expected, atol=1e-6)


def test_masks_of_both_views_are_their_own() -> None:
    """What one view's mask gets of the gradient does not depend on whether the other's is differentiated."""
    model = model_of(pairing="cmsc", masked_view="both", masks=4)
    pairs = model.pairs(windows_for(model.config))
    assert pairs["chosen"].shape == (12, 4) and pairs["masked"].shape == (12, 12)
    masks = model.adversary(model.seen(pairs), training=True)
    halves = tf.split(masks, 2)

    def gradients_of(*watched: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            for half in watched:
                tape.watch(half)
            loss, _ = model.contrast_masked(pairs, tf.concat(halves, 0))
        return values(tape.gradient(loss, list(watched)))

    together = gradients_of(*halves)
    assert all(np.abs(gradient).max() > 0 for gradient in together)
    for half, gradient in zip(halves, together, strict=True):
        np.testing.assert_allclose(gradients_of(half)[0], gradient, atol=1e-6)
    one = float(model_of(masks=4).penalise(masks)[0])
    assert float(model.penalise(masks)[0]) == pytest.approx(2 * one, rel=1e-6)


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


@pytest.mark.parametrize(
    ("update", "compiled"),
    [pytest.param("alternating", True, marks=pytest.mark.slow), ("alternating", False), ("simultaneous", False)],
)
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

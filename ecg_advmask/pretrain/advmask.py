"""Adversarial masking: the adversary occludes what identifies a recording, the encoder learns to cope without it.

min over E, max over A of ``L_SSL(E, A) - L_sparse(A)``; Bo et al. 2022, after Shi et al. 2022 (ADIOS).
"""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ecg_advmask.config import Config
from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import distribute
from ecg_advmask.pretrain.losses import area_entropy, sparsity_penalty
from ecg_advmask.pretrain.mask_domain import mask_domain
from ecg_advmask.pretrain.simclr import Logs, Pairs, SimCLR, adam


@keras.saving.register_keras_serializable("ecg_advmask")
class AdvMask(SimCLR):
    """SimCLR whose second view is occluded by an adversary with an optimizer of its own.

    Each player's update leaves every variable of the other one, moving batch statistics included, as it was.

        model = AdvMask(resnet18_1d(32), unet1d(16), config=config)
        model.fit(data.batches(config))

    Args:
        encoder: as in `SimCLR`, and so are ``projector``, ``config`` and ``settings``.
        adversary: built Keras model from (B, L, 12) float32 views, scaled to [0, 1], to ``masks`` masks in [0, 1]:
            (B, L, masks), or (B, frames, bins, masks) with ``mask_domain = spectrum``.
        projector: as in `SimCLR`.
        config: the settings.
        settings: single ones.

    Raises:
        InputError: as in `SimCLR`, or the adversary gives another number of masks than the settings say.
    """

    method = "advmask"
    networks = ("encoder", "adversary", "projector")
    optimizers = ("optimizer", "adversary_optimizer")
    tracked = (*SimCLR.tracked, "sparsity", "mask_area", "mask_area_min", "mask_area_max", "mask_cover")

    def __init__(
        self,
        encoder: keras.Model,
        adversary: keras.Model,
        projector: keras.Model | None = None,
        *,
        config: Config | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(encoder, projector, config=config, **settings)
        if (masks := adversary.output_shape[-1]) != self.config.masks:
            raise InputError(f"adversary: gives {masks} masks, the settings say masks = {self.config.masks}")
        self.domain = mask_domain(self.config)
        self.adversary = adversary
        distribute.synchronise(self.adversary)
        if self.config.target_accuracy and self.config.adversary_objective != "none":
            self.averages["adversary_moved"] = keras.metrics.Mean("adversary_moved")
            self.tracked = (*self.tracked, "adversary_moved")

    def compile(self, optimizer: Any = None, adversary_optimizer: Any = None, **options: Any) -> None:
        """Take one optimizer per player, by default Adam at the rates of the settings; the options are Keras's."""
        super().compile(optimizer, **options)
        if adversary_optimizer is None:
            rate, steps = self.config.adversary_learning_rate, self.config.adversary_decay_steps
            adversary_optimizer = adam(keras.optimizers.schedules.CosineDecay(rate, steps) if steps else rate)
        self.adversary_optimizer = keras.optimizers.get(adversary_optimizer)
        self.adversary_optimizer.build(self.adversary.trainable_variables)

    @property
    def state(self) -> list[Any]:
        return [*super().state, *self.adversary_optimizer.variables]

    @property
    def adversary_state(self) -> list[Any]:
        """What the adversary's update changes: its weights and moving statistics, and its optimizer."""
        return [*self.adversary.variables, *self.adversary_optimizer.variables]

    def train_step(self, data: Any) -> Logs:
        """One update of each player: the adversary's against the new encoder, or both from the same pass."""
        pairs = self.pairs(data)
        step = self.optimizer.iterations + 0  # as it is before this step's updates
        if self.config.update == "simultaneous" and self.config.adversary_objective == "game":
            (for_learner, for_adversary), logs = self.accumulated(self.both_gradients, pairs)
            self.update_learner(for_learner)
            logs |= self.maybe_update(step, logs, lambda: self.update_adversary(for_adversary))
        else:
            for_learner, logs = self.accumulated(self.learner_gradients, pairs)
            published = self.config.adversary_objective == "published-gradient"
            before = self.last_contrast_gradients(pairs) if published else None
            self.update_learner(for_learner)
            if self.config.adversary_objective != "none":
                logs |= self.maybe_update(step, logs, lambda: self.update_adversary(self.answer(pairs, before)))
        return self.averaged(logs)

    def update_adversary(self, gradients: list[Any]) -> None:
        self.adversary_optimizer.apply(gradients, self.adversary.trainable_variables)

    def maybe_update(self, step: Any, logs: Logs, update: Callable[[], None]) -> Logs:
        """Update the adversary every ``adversary_every`` steps, after the warm-up of the encoder, unless it leads.

        It leads while the encoder recognises no more pairs of the step, as its ``logs`` have it, than
        ``target_accuracy``. Then only its moving statistics may change, where both players share a pass.

        Returns:
            Where there is such a target, ``adversary_moved``: 1 if it was updated, else 0.
        """
        warmup, every = self.config.adversary_warmup_steps, self.config.adversary_every
        target = self.config.target_accuracy

        def move() -> Any:
            update()
            return tf.constant(True)

        if warmup == 0 and every == 1 and not target:
            move()
            return {}
        due = ops.logical_and(step >= warmup, (step - warmup) % every == 0)
        if target:
            due = ops.logical_and(due, logs["contrastive_accuracy"] > target)
        if distribute.count() > 1:
            distribute.moved_if(due, self.adversary_state, update)
        else:
            tf.cond(due, move, lambda: tf.constant(False))
        return {"adversary_moved": ops.cast(due, "float32")} if target else {}

    def pairs(self, data: Any) -> Pairs:
        """The views, and for each masked one the ``chosen`` mask as one-hot (B, N) and its ``masked`` leads (B, 12).

        The second view is the one that is masked: if ``masked_view`` says so, a pair's views are exchanged. If both
        are, there are 2B of ``chosen`` and ``masked``.
        """
        pairs = super().pairs(data)
        recordings, masks, which = ops.shape(pairs["patients"])[0], self.config.masks, self.config.masked_view
        occlusions = 2 * recordings if which == "both" else recordings
        number = keras.random.randint((occlusions,), 0, masks, seed=self.seed_generator)
        drawn = keras.random.uniform((occlusions, 12), seed=self.seed_generator)
        masked = ops.cast(drawn >= self.config.mask_lead_dropout, "float32")
        pairs |= {"chosen": ops.one_hot(number, masks, dtype="float32"), "masked": masked}
        if which in ("second", "both"):
            return pairs
        share = 1.0 if which == "first" else 0.5
        exchanged = keras.random.uniform((recordings, 1, 1), seed=self.seed_generator) < share
        first, second = pairs["view_1"], pairs["view_2"]
        return pairs | {
            "view_1": ops.where(exchanged, second, first),
            "view_2": ops.where(exchanged, first, second),
        }

    def seen(self, pairs: Pairs) -> Any:
        """The views that the adversary masks: the second ones (B, L, 12), or the first, then the second (2B, L, 12)."""
        if self.config.masked_view == "both":
            return ops.concatenate([pairs["view_1"], pairs["view_2"]])
        return pairs["view_2"]

    def learner_gradients(self, pairs: Pairs) -> tuple[list[Any], Logs]:
        """Gradients of L_SSL for encoder and projector, the masks given."""
        frozen = self.config.adversary_objective == "none"  # then nothing else keeps its moving statistics
        with contextlib.nullcontext() if frozen else keras.StatelessScope():
            masks = self.adversary(self.seen(pairs), training=True)
        with tf.GradientTape() as tape:
            loss, logs = self.contrast_masked(pairs, ops.stop_gradient(masks))
            share = distribute.share_of(loss)
        return tape.gradient(share, self.learner_variables), logs | self.penalise(masks)[1]

    def adversary_gradients(self, pairs: Pairs) -> list[Any]:
        """Gradients of ``-L_SSL + L_sparse`` for the adversary, the learner given; without L_SSL if so set."""
        with tf.GradientTape() as tape:
            masks = self.adversary(self.seen(pairs), training=True)
            objective, _ = self.penalise(masks)
            if self.config.adversary_objective == "game":
                with keras.StatelessScope():  # the learner keeps its moving statistics
                    loss, _ = self.contrast_masked(pairs, masks)
                objective -= loss
            share = distribute.share_of(objective)
        gradients: list[Any] = tape.gradient(share, self.adversary.trainable_variables)
        return gradients

    def answer(self, pairs: Pairs, before: list[Any] | None) -> list[Any]:
        """The adversary's gradients against the updated learner.

        With the objective ``published-gradient`` they are those of L_sparse, and what the published code of Bo et al.
        2022 leaves of L_SSL: it adds to the adversary's gradient that of L_SSL in the encoder's pass, and that of
        -L_SSL in the adversary's. Both have the same encoder, so that they cancel, but in the last of the accumulated
        batches, where the encoder is updated between the two passes.

        Args:
            pairs: what the step contrasts.
            before: `last_contrast_gradients` before the learner was updated, for that objective.
        """
        gradients = self.accumulated(self.adversary_gradients, pairs)
        if before is None:
            return list(gradients)
        after, count = self.last_contrast_gradients(pairs), self.config.accumulation
        return [sparse + (b - a) / count for sparse, b, a in zip(gradients, before, after, strict=True)]

    def last_contrast_gradients(self, pairs: Pairs) -> list[Any]:
        """Gradients of L_SSL for the adversary in the last of the accumulated batches; no variable changes."""
        count = self.config.accumulation
        last = {name: ops.reshape(value, (count, -1, *value.shape[1:]))[-1] for name, value in pairs.items()}
        with tf.GradientTape() as tape, keras.StatelessScope():
            loss, _ = self.contrast_masked(last, self.adversary(self.seen(last), training=True))
            share = distribute.share_of(loss)
        gradients: list[Any] = tape.gradient(share, self.adversary.trainable_variables)
        return gradients

    def both_gradients(self, pairs: Pairs) -> tuple[tuple[list[Any], list[Any]], Logs]:
        """Gradients for learner and adversary from one pass, in which that of L_SSL is reversed at the masks."""
        with tf.GradientTape() as tape:
            masks = self.adversary(self.seen(pairs), training=True)
            penalty, mask_logs = self.penalise(masks)
            loss, logs = self.contrast_masked(pairs, 2 * ops.stop_gradient(masks) - masks)
            share = distribute.share_of(loss + penalty)
        gradients = tape.gradient(share, (self.learner_variables, self.adversary.trainable_variables))
        return gradients, logs | mask_logs

    def contrast_masked(self, pairs: Pairs, masks: Any) -> tuple[Any, Logs]:
        """L_SSL of the views of which those that are `seen` are occluded, masks (B, L, N) or (B, frames, bins, N).

        Of every mask in turn, summed, where ``mask_choice`` is all; else of the chosen one.
        """
        if self.config.masks in (1, 12):
            return self.contrast_occluded(pairs, masks)
        if self.config.mask_choice == "single":
            chosen = ops.expand_dims(pairs["chosen"], tuple(range(1, masks.ndim - 1)))
            return self.contrast_occluded(pairs, ops.sum(masks * chosen, axis=-1, keepdims=True))
        each = [self.contrast_occluded(pairs, mask) for mask in ops.split(masks, self.config.masks, axis=-1)]
        logs = {name: sum(logs[name] for _, logs in each) / len(each) for name in each[0][1]}
        return sum(loss for loss, _ in each), logs

    def contrast_occluded(self, pairs: Pairs, mask: Any) -> tuple[Any, Logs]:
        """L_SSL where a mask (B, ..., 1 or 12) occludes what is `seen`."""
        occluded = self.occlude(self.seen(pairs), mask, pairs["masked"])
        if self.config.masked_view != "both":
            return self.contrast(pairs, occluded)
        first, second = ops.split(occluded, 2)
        return self.contrast(pairs | {"view_1": first}, second)

    def occlude(self, view: Any, mask: Any, masked: Any) -> Any:
        """The view (B, L, 12) without what the mask (B, ..., 1 or 12) covers of the ``masked`` leads (B, 12).

        The mask is binarised as the settings say; the result is scaled to [0, 1].
        """
        return self.domain.scaled(self.domain.remaining(view, self.binarised(mask), masked))

    def binarised(self, masks: Any) -> Any:
        """Masks near 0 or 1, but for values near the threshold; as they are without binarisation."""
        slope, threshold = self.config.binarisation
        return masks if slope is None else ops.sigmoid(slope * (masks - threshold))

    def penalise(self, masks: Any) -> tuple[Any, Logs]:
        """L_sparse, and what the masks of the batch are like (the extremes are averaged over an epoch's batches).

        L_sparse holds the area penalty and the entropy of the areas, if that has a weight; of two masked views it is
        the sum. ``mask_area`` is the mean of the mask, which L_sparse sees; ``mask_cover`` is the share of samples, or
        of bins, above the threshold, which the sharp binarisation occludes, or without binarisation the mean as well.
        The first may be modest where the second is near 1, unless L_sparse sees the binarised mask
        (``penalised_area``).
        """
        masks = ops.reshape(masks, (ops.shape(masks)[0], -1, self.config.masks))
        penalised = self.binarised(masks) if self.config.penalised_area == "cover" else masks
        penalty = sparsity_penalty(penalised, self.config.alpha, self.config.ratio)
        if self.config.entropy_weight:
            penalty += self.config.entropy_weight * area_entropy(penalised)
        if self.config.masked_view == "both":
            penalty *= 2  # of as many masks as two batches have
        slope, threshold = self.config.binarisation
        area = ops.mean(masks, axis=1)
        cover = area if slope is None else ops.mean(ops.cast(masks > threshold, "float32"), axis=1)
        penalties, area, cover = distribute.gathered((penalty[None], area, cover))
        logs = {"sparsity": ops.mean(penalties), "mask_area": ops.mean(area), "mask_cover": ops.mean(cover)}
        return penalty, logs | {"mask_area_min": ops.min(area), "mask_area_max": ops.max(area)}

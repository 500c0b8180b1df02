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
from ecg_advmask.pretrain.losses import sparsity_penalty
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
            self.update_learner(for_learner)
            if self.config.adversary_objective != "none":
                logs |= self.maybe_update(
                    step, logs, lambda: self.update_adversary(self.accumulated(self.adversary_gradients, pairs))
                )
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
        """The views, and for each recording the ``chosen`` mask as one-hot (B, N) and its ``masked`` leads (B, 12)."""
        pairs = super().pairs(data)
        recordings, masks = ops.shape(pairs["patients"])[0], self.config.masks
        number = keras.random.randint((recordings,), 0, masks, seed=self.seed_generator)
        drawn = keras.random.uniform((recordings, 12), seed=self.seed_generator)
        masked = ops.cast(drawn >= self.config.mask_lead_dropout, "float32")
        return pairs | {"chosen": ops.one_hot(number, masks, dtype="float32"), "masked": masked}

    def learner_gradients(self, pairs: Pairs) -> tuple[list[Any], Logs]:
        """Gradients of L_SSL for encoder and projector, the masks given."""
        frozen = self.config.adversary_objective == "none"  # then nothing else keeps its moving statistics
        with contextlib.nullcontext() if frozen else keras.StatelessScope():
            masks = self.adversary(pairs["view_2"], training=True)
        with tf.GradientTape() as tape:
            loss, logs = self.contrast_masked(pairs, ops.stop_gradient(masks))
            share = distribute.share_of(loss)
        return tape.gradient(share, self.learner_variables), logs | self.penalise(masks)[1]

    def adversary_gradients(self, pairs: Pairs) -> list[Any]:
        """Gradients of ``-L_SSL + L_sparse`` for the adversary, the learner given; without L_SSL if so set."""
        with tf.GradientTape() as tape:
            masks = self.adversary(pairs["view_2"], training=True)
            objective, _ = self.penalise(masks)
            if self.config.adversary_objective == "game":
                with keras.StatelessScope():  # the learner keeps its moving statistics
                    loss, _ = self.contrast_masked(pairs, masks)
                objective -= loss
            share = distribute.share_of(objective)
        gradients: list[Any] = tape.gradient(share, self.adversary.trainable_variables)
        return gradients

    def both_gradients(self, pairs: Pairs) -> tuple[tuple[list[Any], list[Any]], Logs]:
        """Gradients for learner and adversary from one pass, in which that of L_SSL is reversed at the masks."""
        with tf.GradientTape() as tape:
            masks = self.adversary(pairs["view_2"], training=True)
            penalty, mask_logs = self.penalise(masks)
            loss, logs = self.contrast_masked(pairs, 2 * ops.stop_gradient(masks) - masks)
            share = distribute.share_of(loss + penalty)
        gradients = tape.gradient(share, (self.learner_variables, self.adversary.trainable_variables))
        return gradients, logs | mask_logs

    def contrast_masked(self, pairs: Pairs, masks: Any) -> tuple[Any, Logs]:
        """L_SSL of the first views and the occluded second ones, masks (B, L, N) or (B, frames, bins, N).

        Of every mask in turn, summed, where ``mask_choice`` is all; else of the chosen one.
        """
        view, masked = pairs["view_2"], pairs["masked"]
        if self.config.masks in (1, 12):
            return self.contrast(pairs, self.occlude(view, masks, masked))
        if self.config.mask_choice == "single":
            chosen = ops.expand_dims(pairs["chosen"], tuple(range(1, masks.ndim - 1)))
            mask = ops.sum(masks * chosen, axis=-1, keepdims=True)
            return self.contrast(pairs, self.occlude(view, mask, masked))
        each = [
            self.contrast(pairs, self.occlude(view, mask, masked))
            for mask in ops.split(masks, self.config.masks, axis=-1)
        ]
        logs = {name: sum(logs[name] for _, logs in each) / len(each) for name in each[0][1]}
        return sum(loss for loss, _ in each), logs

    def occlude(self, view: Any, mask: Any, masked: Any) -> Any:
        """The view (B, L, 12) without what the mask (B, ..., 1 or 12) covers of the ``masked`` leads (B, 12).

        The mask is softly binarised; the result is scaled to [0, 1].
        """
        return self.domain.scaled(self.domain.remaining(view, self.binarised(mask), masked))

    def binarised(self, masks: Any) -> Any:
        """Masks near 0 or 1, but for values near one half."""
        return ops.sigmoid(self.config.mask_sharpness * (masks - 0.5))

    def penalise(self, masks: Any) -> tuple[Any, Logs]:
        """L_sparse, and what the masks of the batch are like (the extremes are averaged over an epoch's batches).

        ``mask_area`` is the mean of the mask, which L_sparse sees; ``mask_cover`` is the share of samples, or of bins,
        above one half, which the sharp binarisation occludes. The first may be modest where the second is near 1,
        unless L_sparse sees the binarised mask (``penalised_area``).
        """
        masks = ops.reshape(masks, (ops.shape(masks)[0], -1, self.config.masks))
        penalised = self.binarised(masks) if self.config.penalised_area == "cover" else masks
        penalty = sparsity_penalty(penalised, self.config.alpha, self.config.ratio)
        area, cover = ops.mean(masks, axis=1), ops.mean(ops.cast(masks > 0.5, "float32"), axis=1)
        penalties, area, cover = distribute.gathered((penalty[None], area, cover))
        logs = {"sparsity": ops.mean(penalties), "mask_area": ops.mean(area), "mask_cover": ops.mean(cover)}
        return penalty, logs | {"mask_area_min": ops.min(area), "mask_area_max": ops.max(area)}

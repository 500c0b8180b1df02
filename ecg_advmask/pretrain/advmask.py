"""Adversarial masking: the adversary occludes what makes a recording recognisable, the encoder learns to do without.

min over E, max over A of ``L_SSL(E, A) - L_sparse(A)``; Bo et al. 2022, after Shi et al. 2022 (ADIOS).
"""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ecg_advmask.config import Config
from ecg_advmask.losses import sparsity_penalty
from ecg_advmask.models.unet1d import unet1d
from ecg_advmask.pretrain.simclr import Logs, SimCLR
from ecg_advmask.scaling import scale_to_unit


class AdvMask(SimCLR):
    """SimCLR whose second view is occluded by an adversary with an optimizer of its own.

    Each player's update leaves every variable of the other one, moving batch statistics included, as it was.
    """

    tracked = (*SimCLR.tracked, "sparsity", "mask_area", "mask_area_min", "mask_area_max", "mask_cover")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.adversary = unet1d(config.adversary_width, config.adversary_depth, config.masks)

    def compile(self, optimizer: Any, adversary_optimizer: Any, **options: Any) -> None:
        """Take one optimizer per player; the options are those of Keras."""
        super().compile(optimizer=optimizer, **options)
        self.adversary_optimizer = adversary_optimizer

    def build_optimizers(self) -> None:
        super().build_optimizers()
        self.adversary_optimizer.build(self.adversary.trainable_variables)

    @property
    def state(self) -> list[Any]:
        return [*super().state, *self.adversary_optimizer.variables]

    def train_step(self, windows: Any) -> Logs:
        """One update of each player: the adversary's against the new encoder, or both from the same pass."""
        pair = (*self.views(windows), self.choose_masks(windows))
        if self.config.update == "simultaneous":
            (for_learner, for_adversary), logs = self.accumulated(self.both_gradients, *pair)
            self.optimizer.apply(for_learner, self.learner_variables)
        else:
            for_learner, logs = self.accumulated(self.learner_gradients, *pair)
            self.optimizer.apply(for_learner, self.learner_variables)
            for_adversary, more_logs = self.accumulated(self.adversary_gradients, *pair)
            logs |= more_logs
        self.adversary_optimizer.apply(for_adversary, self.adversary.trainable_variables)
        return self.averaged(logs)

    def learner_gradients(self, view_1: Any, view_2: Any, chosen: Any) -> tuple[list[Any], Logs]:  # type: ignore[override]
        """Gradients of L_SSL for encoder and projector, the masks given."""
        with keras.StatelessScope():  # the adversary keeps its moving statistics
            masks = self.adversary(view_2, training=True)
        with tf.GradientTape() as tape:
            loss, logs = self.contrast_masked(view_1, view_2, ops.stop_gradient(masks), chosen)
        return tape.gradient(loss, self.learner_variables), logs

    def adversary_gradients(self, view_1: Any, view_2: Any, chosen: Any) -> tuple[list[Any], Logs]:
        """Gradients of ``-L_SSL + L_sparse`` for the adversary, the learner given."""
        with tf.GradientTape() as tape:
            masks = self.adversary(view_2, training=True)
            penalty, logs = self.penalise(masks)
            with keras.StatelessScope():  # the learner keeps its moving statistics
                loss, _ = self.contrast_masked(view_1, view_2, masks, chosen)
            objective = penalty - loss
        return tape.gradient(objective, self.adversary.trainable_variables), logs

    def both_gradients(self, view_1: Any, view_2: Any, chosen: Any) -> tuple[tuple[list[Any], list[Any]], Logs]:
        """Gradients for learner and adversary from one pass, in which that of L_SSL is reversed at the masks."""
        with tf.GradientTape() as tape:
            masks = self.adversary(view_2, training=True)
            penalty, mask_logs = self.penalise(masks)
            loss, logs = self.contrast_masked(view_1, view_2, 2 * ops.stop_gradient(masks) - masks, chosen)
            objective = loss + penalty
        gradients = tape.gradient(objective, (self.learner_variables, self.adversary.trainable_variables))
        return gradients, logs | mask_logs

    def contrast_masked(self, view_1: Any, view_2: Any, masks: Any, chosen: Any) -> tuple[Any, Logs]:
        """L_SSL of the clean view and the occluded one; of every mask in turn, summed, where ``mask_choice`` is all.

        Shapes: views (B, L, 12), masks (B, L, N), ``chosen`` (B, N) with a one at each recording's mask.
        """
        if self.config.masks in (1, 12):
            return self.contrast(view_1, self.occlude(view_2, masks))
        if self.config.mask_choice == "single":
            mask = ops.sum(masks * chosen[:, None, :], axis=2, keepdims=True)
            return self.contrast(view_1, self.occlude(view_2, mask))
        each = [
            self.contrast(view_1, self.occlude(view_2, mask)) for mask in ops.split(masks, self.config.masks, axis=2)
        ]
        logs = {name: sum(logs[name] for _, logs in each) / len(each) for name in each[0][1]}
        return sum(loss for loss, _ in each), logs

    def occlude(self, view: Any, mask: Any) -> Any:
        """The view (B, L, 12) without what the mask (B, L, 1 or 12) covers, softly binarised and scaled to [0, 1]."""
        covered = ops.sigmoid(self.config.mask_sharpness * (mask - 0.5))
        return scale_to_unit(view * (1.0 - covered))

    def choose_masks(self, windows: Any) -> Any:
        """One mask per recording, uniformly at random, as one-hot rows (B, N)."""
        masks = self.config.masks
        chosen = keras.random.randint((ops.shape(windows)[0],), 0, masks, seed=self.seed_generator)
        return ops.one_hot(chosen, masks, dtype="float32")

    def penalise(self, masks: Any) -> tuple[Any, Logs]:
        """L_sparse, and what the masks of the batch are like (the extremes are averaged over an epoch's batches).

        ``mask_area`` is the mean of the mask, which L_sparse sees; ``mask_cover`` is the share of samples above one
        half, which the sharp binarisation occludes. The first may be modest where the second is near 1.
        """
        penalty = sparsity_penalty(masks, self.config.alpha, self.config.ratio)
        area = ops.mean(masks, axis=1)
        logs = {"sparsity": penalty, "mask_area": ops.mean(area)}
        logs |= {"mask_area_min": ops.min(area), "mask_area_max": ops.max(area)}
        return penalty, logs | {"mask_cover": ops.mean(ops.cast(masks > 0.5, "float32"))}

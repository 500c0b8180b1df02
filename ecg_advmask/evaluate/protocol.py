"""All constants of an evaluation in one place, checked when they are set and written into every result."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from ecg_advmask.errors import InputError

HeadKind = Literal["lbfgs", "adam"]
PenaltyChoice = Literal["validation", "cross-validated"]
PENALTIES: Final[tuple[PenaltyChoice, ...]] = get_args(PenaltyChoice)
"""What the strength of the penalty is chosen on: the validation part, whose labels come on top of those that are drawn;
or the drawn labels alone, by cross-validation."""

HEADS: Final[tuple[HeadKind, ...]] = get_args(HeadKind)
"""Kinds of linear head: a convex problem solved to its optimum, or the gradient descent of the Adv Mask paper."""

FRACTIONS: Final = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Protocol:
    """Every constant of the evaluation; written into its result."""

    fractions: tuple[float, ...] = FRACTIONS
    """Shares of the training part whose labels are used; a value above 1 is a number of labelled recordings."""
    draws: int = 5
    """Draws of labels per fraction; the whole training part is drawn once."""
    seed: int = 0
    """Seed of the first draw; the following ones count up from it."""
    split_seed: int = 0
    """Seed of the split by patient."""
    shares: tuple[float, float, float] = (0.5, 0.1, 0.4)
    """Shares of the patients in the training, validation and test part."""
    head: HeadKind = "lbfgs"
    """Linear head: ``lbfgs`` (logistic or ridge regression) or ``adam``."""
    strengths: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Inverse strengths C of the L2 penalty of ``lbfgs`` to choose from."""
    penalty: PenaltyChoice = "validation"
    """What the strength is chosen on."""
    folds: int = 5
    """Folds of the cross-validation at most."""
    few_labels_strength: float = 0.1
    """The strength where the drawn labels are too few to choose one by cross-validation."""
    max_iterations: int = 500
    """Steps of L-BFGS at most."""
    adam_learning_rate: float = 1e-3
    adam_batch_size: int = 256
    adam_epochs: int = 200
    """Epochs of ``adam`` at most."""
    adam_patience: int = 15
    """Epochs of ``adam`` without a better value on the validation part, after which it stops."""
    resamples: int = 1000
    """Bootstrap resamples of the test set."""
    level: float = 0.95
    """Coverage of the intervals."""

    def __post_init__(self) -> None:
        if not self.fractions or self.draws < 1:
            raise InputError("evaluation: needs at least one fraction and one draw")
        for fraction in self.fractions:
            if not fraction > 0 or (fraction > 1 and not float(fraction).is_integer()):
                raise InputError(
                    f"--labels: {fraction:g} is neither a share between 0 and 1 nor a whole number of labels"
                )
        if len(set(self.fractions)) < len(self.fractions):
            raise InputError(f"--labels: {', '.join(f'{one:g}' for one in self.fractions)} names one of them twice")
        if self.head not in HEADS:
            raise InputError(f"--head {self.head}: no such head, choose one of {', '.join(HEADS)}")
        if self.penalty not in PENALTIES:
            raise InputError(f"--penalty {self.penalty}: no such choice, choose one of {', '.join(PENALTIES)}")
        if self.penalty == "cross-validated" and self.head == "adam":
            raise InputError("--penalty cross-validated: --head adam has no penalty; its epoch needs a validation part")
        if not self.strengths or not min(self.strengths) > 0:
            raise InputError("evaluation: needs at least one strength of the penalty, all above 0")

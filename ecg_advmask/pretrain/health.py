"""What can go wrong with the game, told by the averages of an epoch.

The thresholds were set before the game was mapped (`benchmarks/game_map.py`), and are not tuned to any run.
"""

from collections.abc import Mapping
from typing import Final

from ecg_advmask.config import Config

LEAST_COVER: Final = 0.02
MOST_COVER: Final = 0.9
"""Masks that occlude a smaller or larger share of all samples than these have stopped being a game."""
LEAST_SPREAD: Final = 0.05
"""Embeddings that spread less than this (1 is isotropic) have collapsed."""
NEAR_CHANCE: Final = 0.95
"""A contrastive loss above this share of its value for identical embeddings: no recording is told from another."""

_SLOWER: Final = "lower adversary_learning_rate"


def troubles(logs: Mapping[str, float], config: Config) -> dict[str, str]:
    """What has gone wrong in an epoch with these averages, by name, in words; empty while the game is healthy.

    The names: ``vanished`` and ``covered`` for the masks, ``collapsed`` for embeddings or loss. Without an adversary
    there is but the last.
    """
    found: dict[str, str] = {}
    if logs["embedding_std"] < LEAST_SPREAD:
        found["collapsed"] = f"the embeddings have collapsed (spread below {LEAST_SPREAD})"
    elif logs["loss"] > NEAR_CHANCE * config.chance_loss:
        found["collapsed"] = f"no recording is told from another (the loss is near {config.chance_loss:.2f}, chance)"
    if config.method != "advmask":
        return found
    found = {name: f"{text}; {_SLOWER}" for name, text in found.items()}
    if logs["mask_cover"] > MOST_COVER:
        found["covered"] = f"the masks cover nearly everything (more than {MOST_COVER:.0%}); {_SLOWER}"
    if logs["mask_cover"] < LEAST_COVER:
        found["vanished"] = f"the masks have vanished (they cover less than {LEAST_COVER:.0%})"
    return found

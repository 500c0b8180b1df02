"""Pretraining: the two objectives, the run directory and the loop.

The package can be called: ``ecg_advmask.pretrain(...)`` is `ecg_advmask.pretrain.trainer.pretrain`.
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from ecg_advmask.pretrain.trainer import pretrain

        return pretrain(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage

"""Self-supervised pretraining for 12-lead ECG by adversarial masking.

The public names below are imported when they are first used, so that ``import ecg_advmask`` takes no time and embedding
needs no TensorFlow. docs/api.md shows them at work.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ecg_advmask.api import linear_eval as linear_eval
    from ecg_advmask.config import Config as Config
    from ecg_advmask.data.dataset import DataSet as DataSet
    from ecg_advmask.data.prepare import prepare as prepare
    from ecg_advmask.ecg.recording import Recording as Recording
    from ecg_advmask.ecg.sources import read_recordings as read_recordings
    from ecg_advmask.errors import InputError as InputError
    from ecg_advmask.export.embed import embed_files as embed_files
    from ecg_advmask.export.encoder import OnnxEncoder as OnnxEncoder
    from ecg_advmask.export.transformer import EcgEncoder as EcgEncoder
    from ecg_advmask.models.resnet import resnet18_1d as resnet18_1d
    from ecg_advmask.models.unet import unet1d as unet1d
    from ecg_advmask.pretrain.advmask import AdvMask as AdvMask
    from ecg_advmask.pretrain.run import Run as Run
    from ecg_advmask.pretrain.simclr import SimCLR as SimCLR
    from ecg_advmask.pretrain.trainer import pretrain as pretrain

__version__ = "0.2.0"

_MODULE_OF: Final = {
    "AdvMask": "pretrain.advmask",
    "Config": "config",
    "DataSet": "data.dataset",
    "EcgEncoder": "export.transformer",
    "InputError": "errors",
    "OnnxEncoder": "export.encoder",
    "Recording": "ecg.recording",
    "Run": "pretrain.run",
    "SimCLR": "pretrain.simclr",
    "embed_files": "export.embed",
    "linear_eval": "api",
    "prepare": "data.prepare",
    "read_recordings": "ecg.sources",
    "resnet18_1d": "models.resnet",
    "unet1d": "models.unet",
}
__all__ = ["__version__", "pretrain", *_MODULE_OF]  # noqa: PLE0604 (all are strings)


def __getattr__(name: str) -> Any:
    if name == "pretrain":  # a package of that name, which is callable
        return import_module("ecg_advmask.pretrain")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'ecg_advmask' has no attribute {name!r}")
    value = getattr(import_module(f"ecg_advmask.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""denseil: Dense Interaction Learning for video-based person re-identification.

Layers, models and tools on any timm backbone. `import denseil` imports neither torch nor timm: a name is imported when
it is first used. The models are registered with timm as soon as timm is imported, whether before denseil or after it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from denseil._timm_hook import import_timm_first, register_models
from denseil._version import __version__ as __version__

if TYPE_CHECKING:
    from denseil import data as data
    from denseil import embedding as embedding
    from denseil import exporters as exporters
    from denseil import gallery as gallery
    from denseil import layers as layers
    from denseil import linking as linking
    from denseil import losses as losses
    from denseil import metrics as metrics
    from denseil import models as models
    from denseil import synth as synth
    from denseil import training as training
    from denseil import viz as viz
    from denseil.common.heap import keep_heap as keep_heap
    from denseil.embedding import Embedder as Embedder
    from denseil.embedding import TrackletEmbedder as TrackletEmbedder
    from denseil.embedding import evaluate as evaluate
    from denseil.exporters import export as export
    from denseil.models import DenseIL as DenseIL
    from denseil.models import Preprocessing as Preprocessing
    from denseil.models import create_model as create_model
    from denseil.models import is_model as is_model
    from denseil.models import list_models as list_models
    from denseil.models import list_pretrained as list_pretrained
    from denseil.models import optimize as optimize
    from denseil.models import profile as profile
    from denseil.models import push_to_hub as push_to_hub
    from denseil.models import register_model as register_model
    from denseil.models import save_pretrained as save_pretrained
    from denseil.models import single_frame as single_frame
    from denseil.training import train as train

# The module of each name above, for programs that run. A test compares the two lists.
_ROOMS = {
    "denseil.common.heap": "keep_heap",
    "denseil.data": "",
    "denseil.embedding": "Embedder TrackletEmbedder evaluate",
    "denseil.exporters": "export",
    "denseil.gallery": "",
    "denseil.layers": "",
    "denseil.linking": "",
    "denseil.losses": "",
    "denseil.metrics": "",
    "denseil.models": "DenseIL Preprocessing create_model is_model list_models list_pretrained optimize profile "
    "push_to_hub register_model save_pretrained single_frame",
    "denseil.synth": "",
    "denseil.training": "train",
    "denseil.viz": "",
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names.split()}
_SUBMODULES = {room.removeprefix("denseil.") for room in _ROOMS if room.count(".") == 1}
_WITHOUT_TIMM = {"denseil.common.heap", "denseil.layers", "denseil.losses", "denseil.metrics"}


if not TYPE_CHECKING:  # a type checker takes the list at the top, and finds misspelt names

    def __getattr__(name: str) -> object:
        if name not in _SUBMODULES and name not in _HOME:
            raise AttributeError(f"module 'denseil' has no attribute {name!r}")
        room = _HOME.get(name, f"denseil.{name}")
        if room not in _WITHOUT_TIMM:
            import_timm_first()
        module = import_module(room)
        return module if name in _SUBMODULES else globals().setdefault(name, getattr(module, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_HOME})


register_models()

"""denseil: Dense Interaction Learning for video-based person re-identification.

The layers and models of the paper on any timm backbone; importing this registers the models with timm as well.
"""

from denseil import data as data
from denseil import embedding as embedding
from denseil import exporters as exporters
from denseil import gallery as gallery
from denseil import layers as layers
from denseil import losses as losses
from denseil import metrics as metrics
from denseil import models as models
from denseil import synth as synth
from denseil import training as training
from denseil._version import __version__ as __version__
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
from denseil.training import train as train

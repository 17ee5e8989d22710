"""Embedding with exported models in numpy, without torch.

The distribution `denseil-runtime` has this room, `denseil.gallery` and `denseil.linking`, and does not depend on torch.
"""

from denseil.runtime.embedder import Embedder as Embedder
from denseil.runtime.network import Network as Network
from denseil.runtime.online import TrackletEmbedder as TrackletEmbedder

"""Embeddings at work: whole tracklets, frame by frame beside a tracker, to a file, and compared."""

from denseil.embedder.adapters import update_deep_sort as update_deep_sort
from denseil.embedder.adapters import update_supervision as update_supervision
from denseil.embedder.calibration import calibrate as calibrate
from denseil.embedder.embedder import Embedder as Embedder
from denseil.embedder.exported import ExportedModel as ExportedModel
from denseil.embedder.online import TrackletEmbedder as TrackletEmbedder
from denseil.embedder.to_file import EmbedReport as EmbedReport
from denseil.embedder.to_file import embed_to_file as embed_to_file

"""Embedding of tracklets: in a program, beside a tracker, into a file, for an evaluation."""

from denseil.embedding.adapters import CropFeatures as CropFeatures
from denseil.embedding.adapters import NorfairDistance as NorfairDistance
from denseil.embedding.adapters import update_boxes as update_boxes
from denseil.embedding.adapters import update_deep_sort as update_deep_sort
from denseil.embedding.adapters import update_supervision as update_supervision
from denseil.embedding.adapters import update_ultralytics as update_ultralytics
from denseil.embedding.calibration import calibrate as calibrate
from denseil.embedding.embedder import Embedder as Embedder
from denseil.embedding.evaluate import embed_dataset as embed_dataset
from denseil.embedding.evaluate import evaluate as evaluate
from denseil.embedding.exported import ExportedModel as ExportedModel
from denseil.embedding.online import TrackletEmbedder as TrackletEmbedder
from denseil.embedding.reassociation import evaluate_reassociation as evaluate_reassociation
from denseil.embedding.to_file import EmbedReport as EmbedReport
from denseil.embedding.to_file import embed_to_file as embed_to_file
from denseil.embedding.tracklet_vectors import FramesPolicy as FramesPolicy
from denseil.embedding.tracklet_vectors import embed_tracklets as embed_tracklets

"""Evaluation: CMC, mAP and mINP under named protocols, streamed; results record protocol, distance and counts."""

from denseil.metrics.clustering import ClusterScores as ClusterScores
from denseil.metrics.clustering import score_clusters as score_clusters
from denseil.metrics.embeddings import Embeddings as Embeddings
from denseil.metrics.features import Features as Features
from denseil.metrics.features import load_features as load_features
from denseil.metrics.features import load_records as load_records
from denseil.metrics.features import rank_features as rank_features
from denseil.metrics.features import save_features as save_features
from denseil.metrics.merging import MergeReport as MergeReport
from denseil.metrics.merging import merge_features as merge_features
from denseil.metrics.nearest import NearestItems as NearestItems
from denseil.metrics.nearest import nearest as nearest
from denseil.metrics.protocols import PROTOCOLS as PROTOCOLS
from denseil.metrics.ranking import rank as rank
from denseil.metrics.reassociation import Reassociation as Reassociation
from denseil.metrics.reassociation import Sightings as Sightings
from denseil.metrics.reassociation import reassociate as reassociate
from denseil.metrics.rerank import KReciprocal as KReciprocal
from denseil.metrics.result import RankingResult as RankingResult
from denseil.metrics.splits import SplitResult as SplitResult
from denseil.metrics.splits import mean_of_splits as mean_of_splits
from denseil.metrics.verification import Verification as Verification
from denseil.metrics.verification import verify as verify

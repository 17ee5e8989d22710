"""Data: tracklets and their readers, clip sampling, transforms, identity sampling. Imports nothing else of denseil."""

from denseil.data.check import DatasetReport as DatasetReport
from denseil.data.check import check_dataset as check_dataset
from denseil.data.clips import ClipBatch as ClipBatch
from denseil.data.clips import ClipDataset as ClipDataset
from denseil.data.clips import clip_loader as clip_loader
from denseil.data.datasets import dataset_splits as dataset_splits
from denseil.data.datasets import read_dataset as read_dataset
from denseil.data.images import decode_image as decode_image
from denseil.data.images import read_frame as read_frame
from denseil.data.pk_sampler import PKSampler as PKSampler
from denseil.data.readers.manifest import write_manifest as write_manifest
from denseil.data.sampling import sample_all as sample_all
from denseil.data.sampling import sample_even as sample_even
from denseil.data.sampling import sample_random as sample_random
from denseil.data.splits import make_splits as make_splits
from denseil.data.splits import read_splits as read_splits
from denseil.data.splits import write_splits as write_splits
from denseil.data.tracklet import Frames as Frames
from denseil.data.tracklet import Tracklet as Tracklet
from denseil.data.tracklet import VideoReIDDataset as VideoReIDDataset
from denseil.data.tracklet import label_map as label_map
from denseil.data.transforms import ClipTransform as ClipTransform
from denseil.data.transforms import normalize as normalize

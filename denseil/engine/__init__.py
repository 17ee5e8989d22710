"""The engine: plain loops that embed, judge and train."""

from denseil.engine.ablate import ablate as ablate
from denseil.engine.ablation_tables import AblationTable as AblationTable
from denseil.engine.ablation_tables import tables as tables
from denseil.engine.config import TrainConfig as TrainConfig
from denseil.engine.config import recipes as recipes
from denseil.engine.evaluate import embed_dataset as embed_dataset
from denseil.engine.evaluate import evaluate as evaluate
from denseil.engine.inference import FramesPolicy as FramesPolicy
from denseil.engine.inference import embed_tracklets as embed_tracklets
from denseil.engine.memory import keep_heap as keep_heap
from denseil.engine.plan import Plan as Plan
from denseil.engine.plan import dry_run as dry_run
from denseil.engine.train import TrainResult as TrainResult
from denseil.engine.train import train as train

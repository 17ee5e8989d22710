"""Training: from a config to a folder with a trained model, and the paper's tables as experiments."""

from denseil.training.ablate import ablate as ablate
from denseil.training.ablation_tables import AblationTable as AblationTable
from denseil.training.ablation_tables import tables as tables
from denseil.training.adapt import adapt as adapt
from denseil.training.adapt_result import AdaptResult as AdaptResult
from denseil.training.config import TrainConfig as TrainConfig
from denseil.training.dry_run import Plan as Plan
from denseil.training.dry_run import dry_run as dry_run
from denseil.training.recipe_files import recipes as recipes
from denseil.training.train import TrainResult as TrainResult
from denseil.training.train import train as train

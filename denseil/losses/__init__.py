"""Losses: batch-hard triplet, supervised contrastive, and their sum with cross-entropy; objectives by name."""

from denseil.losses.contrastive import SupervisedContrastive as SupervisedContrastive
from denseil.losses.interface import Losses as Losses
from denseil.losses.interface import Objective as Objective
from denseil.losses.interface import named_losses as named_losses
from denseil.losses.objective import ReIDLosses as ReIDLosses
from denseil.losses.objective import ReIDObjective as ReIDObjective
from denseil.losses.registry import create_objective as create_objective
from denseil.losses.registry import list_objectives as list_objectives
from denseil.losses.registry import objective_module as objective_module
from denseil.losses.registry import register_objective as register_objective
from denseil.losses.triplet import BatchHardTriplet as BatchHardTriplet

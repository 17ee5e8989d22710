"""Losses: batch-hard triplet, supervised contrastive, and their sum with cross-entropy. Imports nothing of ours."""

from denseil.losses.contrastive import SupervisedContrastive as SupervisedContrastive
from denseil.losses.objective import ReIDLosses as ReIDLosses
from denseil.losses.objective import ReIDObjective as ReIDObjective
from denseil.losses.triplet import BatchHardTriplet as BatchHardTriplet

"""Losses: batch-hard triplet, and its sum with cross-entropy. Imports nothing else of denseil."""

from denseil.losses.objective import ReIDLosses as ReIDLosses
from denseil.losses.objective import ReIDObjective as ReIDObjective
from denseil.losses.triplet import BatchHardTriplet as BatchHardTriplet

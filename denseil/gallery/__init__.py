"""Galleries: storage, search and deletion of tracklets' records and vectors."""

from denseil.gallery.features import copy as copy
from denseil.gallery.features import features_model as features_model
from denseil.gallery.features import name_model as name_model
from denseil.gallery.features import read_features as read_features
from denseil.gallery.memory import MemoryGallery as MemoryGallery
from denseil.gallery.one_file import load as load
from denseil.gallery.one_file import save as save
from denseil.gallery.opening import open as open
from denseil.gallery.protocol import Gallery as Gallery
from denseil.gallery.recall import Recall as Recall
from denseil.gallery.recall import check_recall as check_recall
from denseil.gallery.record import Hit as Hit
from denseil.gallery.record import Record as Record
from denseil.gallery.record import Stored as Stored
from denseil.gallery.where import Where as Where

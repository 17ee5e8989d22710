"""Linking: one person, one number, across cameras and visits."""

from denseil.linking.cluster import ConflictError as ConflictError
from denseil.linking.cluster import average_linkage as average_linkage
from denseil.linking.constraints import Sightings as Sightings
from denseil.linking.constraints import Travel as Travel
from denseil.linking.links import Links as Links
from denseil.linking.links import link as link
from denseil.linking.threshold import Threshold as Threshold
from denseil.linking.threshold import auto_threshold as auto_threshold

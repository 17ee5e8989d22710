"""One person, one number: tracklets of all cameras and visits are linked to persons."""

from denseil.linking.link import link as link
from denseil.linking.result import Links as Links
from denseil.linking.rules import Rules as Rules
from denseil.linking.threshold import Threshold as Threshold
from denseil.linking.threshold import auto_threshold as auto_threshold

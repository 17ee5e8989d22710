"""One person, one number: tracklets of all cameras and visits are linked to persons."""

from denseil.linking.answers import Answers as Answers
from denseil.linking.answers import read_answers as read_answers
from denseil.linking.answers import read_travel as read_travel
from denseil.linking.doubts import Doubt as Doubt
from denseil.linking.doubts import doubts as doubts
from denseil.linking.link import link as link
from denseil.linking.live import Event as Event
from denseil.linking.mot import persons_of_tracks as persons_of_tracks
from denseil.linking.mot import write_mot as write_mot
from denseil.linking.names import csv_names as csv_names
from denseil.linking.online import OnlineLinker as OnlineLinker
from denseil.linking.result import Links as Links
from denseil.linking.rules import Rules as Rules
from denseil.linking.threshold import Threshold as Threshold
from denseil.linking.threshold import auto_threshold as auto_threshold

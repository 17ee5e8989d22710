"""The engine: plain loops that embed, judge and train."""

from denseil.engine.evaluate import evaluate as evaluate
from denseil.engine.inference import FramesPolicy as FramesPolicy
from denseil.engine.inference import embed_tracklets as embed_tracklets

"""denseil: Dense Interaction Learning for video-based person re-identification."""

from denseil._version import __version__ as __version__

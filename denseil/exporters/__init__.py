"""Models in the formats of other runtimes, each checked in its own before it counts as written."""

from denseil.exporters.export import export as export
from denseil.exporters.int8 import Price as Price
from denseil.exporters.report import ExportReport as ExportReport

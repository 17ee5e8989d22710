"""Models in the formats of other runtimes, each checked in its own before it counts as written."""

from denseil.exporters._export import ExportReport as ExportReport
from denseil.exporters._export import export as export
from denseil.exporters._int8 import Price as Price

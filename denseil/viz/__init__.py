"""Pages to look at: one self-contained HTML file each (extra `viz`)."""

from denseil.viz.attention import Attention as Attention
from denseil.viz.attention import attention_by_frame as attention_by_frame
from denseil.viz.curves import line_chart as line_chart
from denseil.viz.page import Page as Page
from denseil.viz.ranks import RankedQuery as RankedQuery
from denseil.viz.ranks import RankedRow as RankedRow
from denseil.viz.thumbnails import Thumbnails as Thumbnails

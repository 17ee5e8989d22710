"""Self-contained HTML pages of results, one file each (extra `viz`)."""

from denseil.viz.attention import Attention as Attention
from denseil.viz.attention import attend as attend
from denseil.viz.attention import attention_by_frame as attention_by_frame
from denseil.viz.curves import line_chart as line_chart
from denseil.viz.evaluation import evaluation_page as evaluation_page
from denseil.viz.page import Page as Page
from denseil.viz.persons import PersonRow as PersonRow
from denseil.viz.persons import PersonTrack as PersonTrack
from denseil.viz.ranks import RankedQuery as RankedQuery
from denseil.viz.ranks import RankedRow as RankedRow
from denseil.viz.shown import Shown as Shown
from denseil.viz.shown import rank_to_show as rank_to_show
from denseil.viz.shown import ranked as ranked
from denseil.viz.shown import shown_dataset as shown_dataset
from denseil.viz.shown import shown_features as shown_features
from denseil.viz.strips import Strip as Strip
from denseil.viz.strips import StripRow as StripRow
from denseil.viz.strips import attention_strips as attention_strips
from denseil.viz.thumbnails import Thumbnails as Thumbnails

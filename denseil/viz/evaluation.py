"""The page of an evaluation: the scores, the CMC curve, and the worst queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from denseil.common.arguments import checked
from denseil.common.text import counted
from denseil.metrics import RankingResult
from denseil.viz.attention import Attention
from denseil.viz.curves import line_chart
from denseil.viz.page import Page
from denseil.viz.shown import Shown, ShownEmbeddings, rank_to_show


@checked
def evaluation_page(
    result: RankingResult,
    query: ShownEmbeddings,
    gallery: ShownEmbeddings,
    *,
    title: str = "Evaluation",
    subtitle: str = "",
    limit: int = 200,
    k: int = 10,
    attend: Callable[[int], Attention] | None = None,
) -> Page:
    """Make the page of an evaluation, with the queries of lowest average precision first.

    Args:
        result: Result of `rank` for these embeddings.
        query: Embeddings of the queries, and the texts and pictures shown for each.
        gallery: The same for the gallery.
        title: Title of the page.
        subtitle: Line under the title.
        limit: Maximum number of queries to show; the page states how many are left out.
        k: Number of ranks to show per query.
        attend: Function from a query's index to its dense attention, called for the queries shown; None for none.

    Raises:
        ValueError: If the result was loaded from a file, which has no scores of single queries, or does not belong to
            these queries.
    """
    precision, first = result.average_precision, result.first_match
    if precision is None or first is None or len(precision) != len(query[0]):
        raise ValueError(f"the result has no scores of these {len(query[0])} queries; give the result of rank for them")
    page = Page(title, subtitle)
    _say_result(page, result)
    with_match = np.flatnonzero(first > 0)
    order = with_match[np.lexsort((-first[with_match], precision[with_match]))]
    if left_out := len(precision) - len(with_match):
        page.add_text(f"Not shown: {counted(left_out, 'query', 'queries')} without a match in the gallery.")
    if len(order) > limit:
        page.add_text(f"The worst {counted(limit, 'query', 'queries')} of {len(order):,} by score.")
    places = order[:limit].tolist()
    if places:
        asked = [_with_scores(query[1][place], precision[place], first[place]) for place in places]
        rows = rank_to_show(
            (query[0][torch.tensor(places)], asked),
            gallery,
            k,
            metric=result.metric,
            attend=None if attend is None else lambda row: attend(places[row]),
        )
        page.add_ranks(rows, "Queries, worst first")
    return page


def _with_scores(query: Shown, precision: float, first: int) -> Shown:
    return replace(query, details=(*query.details, f"AP {100 * precision:.1f} %", f"first right at rank {first}"))


def _say_result(page: Page, result: RankingResult) -> None:
    scores = (result.mAP, *result.cmc[[0, 4, 9, 19]].tolist(), result.mINP)
    page.add_table(
        "Scores", ("mAP", "R-1", "R-5", "R-10", "R-20", "mINP"), [[100 * value for value in scores]], "Percent."
    )
    page.add_table(
        "Evaluated under",
        ("protocol", "distance", "re-ranked", "frames", "queries", "with a match", "gallery", "junk", "distractors"),
        [
            (
                result.protocol,
                result.metric,
                result.rerank or "no",
                result.frames or "not recorded",
                result.num_query,
                result.num_valid,
                result.num_gallery,
                result.num_junk,
                result.num_distractors,
            )
        ],
    )
    if result.rerank:
        page.add_text("The scores are re-ranked; the lists of the queries are in the order of the distance alone.")
    curve = [(float(rank), 100 * value) for rank, value in enumerate(result.cmc.tolist(), start=1)]
    figure = line_chart({"CMC": curve}, x="rank", y="queries with a match by this rank, %", low=0)
    page.add_figure(figure, "CMC")

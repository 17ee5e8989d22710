"""The page of an adaptation: stages, histograms before and after, clusters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from denseil.common.text import counted
from denseil.data import Tracklet
from denseil.training import AdaptResult
from denseil.training.adapt_criterion import Score
from denseil.training.adapt_result import Cluster
from denseil.viz import Page, RankedQuery, RankedRow, line_chart

BINS = 24
SHOWN = 20  # clusters


def adapt_page(result: AdaptResult, tracklets: Sequence[Tracklet]) -> Page:
    """Make the page of a result.

    Args:
        result: Result of `denseil.training.adapt`.
        tracklets: The tracklets that it was given.
    """
    page = Page(
        "Adaptation",
        f"{counted(result.tracklets, 'tracklet')}, {result.learned:,} of them in clusters that were learned from",
    )
    page.add_text("The model was adapted." if result.adapted else f"The model was not adapted: {result.reason}.")
    rows = []
    for stage in result.stages:
        figures = ["", ""]
        if stage.before is not None and stage.score is not None:
            before, after = stage.before, stage.score
            figures = [
                f"{before.conflicts:.3f} to {after.conflicts:.3f}",
                f"{before.agreement:.2f} to {after.agreement:.2f}",
            ]
        rows.append([stage.name, "kept" if stage.kept else "not kept", *figures, stage.reason])
    page.add_table(
        "Stages",
        ("stage", "", "conflicts", "agreement", "reason"),
        rows,
        "Conflicts: how often two tracklets that show two persons are most alike to the same tracklet of another "
        "camera, 1 by chance. Agreement: share of nearest neighbours that both ends of a tracklet share.",
    )
    if result.threshold is not None:
        page.add_text(f"Two tracklets count as one person from a cosine similarity of {result.threshold:.3f} on.")
    for name, score_of in (("Before", result.before), ("After", result.after)):
        if score_of is not None:
            page.add_figure(_histograms(score_of), name, "Cosine similarity of pairs.")
    if result.clusters:
        sizes = Counter(len(cluster.tracklets) for cluster in result.clusters)
        page.add_table("Cluster sizes", ("tracklets", "clusters"), sorted(sizes.items()))
        page.add_ranks(
            [_strip(cluster, tracklets) for cluster in result.clusters[:SHOWN]],
            "Clusters, least certain first",
            "Under a picture, its cosine distance from the first of the cluster.",
            filtered=False,
        )
    return page


def _histograms(score: Score) -> object:
    low = float(min(score.one.min(), score.two.min()))
    edges = np.linspace(low, 1.0, BINS + 1)

    def share(values: NDArray[np.float64]) -> list[tuple[float, float]]:
        counts = np.histogram(values.clip(low, 1.0), edges)[0] / len(values)
        return list(zip(((edges[1:] + edges[:-1]) / 2).tolist(), counts.tolist(), strict=True))

    series = {"surely one person": share(score.one), "surely two": share(score.two)}
    return line_chart(series, x="cosine similarity", y="share of pairs", low=0)


def _strip(cluster: Cluster, tracklets: Sequence[Tracklet]) -> RankedQuery:
    """A cluster as a row of pictures, with distances to its first tracklet."""
    first, *others = [tracklets[place] for place in cluster.tracklets]
    rows = [
        RankedRow(other.name, 1 - similarity, [f"camera {other.camid}"], other.middle)
        for other, similarity in zip(others, cluster.similarity[1:], strict=True)
    ]
    details = [f"camera {first.camid}", f"least similarity {cluster.certainty:.3f}"]
    return RankedQuery(first.name, rows, details, first.middle)

"""Scores as their definition reads: one query and one gallery item at a time, exact for integer features."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

Rows = list[list[int]]


@dataclass
class Case:
    """Integer features and labels of queries and gallery."""

    q_vectors: Rows
    q_pids: list[int]
    q_camids: list[int]
    g_vectors: Rows
    g_pids: list[int]
    g_camids: list[int]


def distance(metric: str, q: list[int], g: list[int]) -> Fraction:
    """A number in the order of the distance; what depends on the query alone is left out."""
    if metric == "euclidean":
        return Fraction(sum((a - b) ** 2 for a, b in zip(q, g, strict=True)))
    dot, square = sum(a * b for a, b in zip(q, g, strict=True)), sum(b * b for b in g)
    # cos is dot / |q| sqrt(square); its signed square has the same order
    return Fraction(-dot * abs(dot), square) if square else Fraction(0)


def ranked_matches(case: Case, metric: str) -> list[list[bool]]:
    """For each query, whether each item of the kept list, nearest first, is a match."""
    lists = []
    for q, pid, camid in zip(case.q_vectors, case.q_pids, case.q_camids, strict=True):
        kept = []
        for index, g in enumerate(case.g_vectors):
            same_view = case.g_pids[index] == pid and case.g_camids[index] == camid
            if case.g_pids[index] != -1 and not same_view:
                kept.append((distance(metric, q, g), index))
        lists.append([case.g_pids[index] == pid for _, index in sorted(kept)])
    return lists


def average_precision(matches: list[bool]) -> float:
    """Mean over the matches of the precision at each."""
    found, total = 0, Fraction(0)
    for place, match in enumerate(matches, start=1):
        if match:
            found += 1
            total += Fraction(found, place)
    return float(total / found)


def trapezoid(matches: list[bool]) -> float:
    """Area under precision against recall, from rank to rank; the precision before the first rank is 1."""
    good = sum(matches)
    found, area, old_recall, old_precision = 0, 0.0, 0.0, 1.0
    for place, match in enumerate(matches, start=1):
        found += match
        recall, precision = found / good if good else 0.0, found / place
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


def score(case: Case, protocol: str, metric: str) -> tuple[float, list[float], float, int]:
    """MAP, CMC, mINP and the number of queries with a match; ZeroDivisionError where there is nothing to average."""
    lists = ranked_matches(case, metric)
    valid = [matches for matches in lists if any(matches)]
    counted = len(lists) if protocol == "mars-official" else len(valid)
    precision = trapezoid if protocol == "mars-official" else average_precision
    penalties = [sum(matches) / (len(matches) - matches[::-1].index(True)) for matches in valid]
    cmc = [sum(any(matches[:k]) for matches in valid) / counted for k in range(1, 21)]
    return sum(map(precision, valid)) / counted, cmc, sum(penalties) / counted, len(valid)

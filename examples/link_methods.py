"""Compare methods of linking on rendered walks: precision, recall and F1 of pairs, at the best threshold of each.

    denseil data synth walks --walks --num-ids 60
    denseil embed walks --model denseil_mobilenetv2 -o walks.safetensors
    python examples/link_methods.py walks.safetensors ...

Give several files to average over. Needs scikit-learn, igraph and leidenalg. Each threshold is chosen with the labels,
so that the methods are compared and not their thresholds.
"""

import sys
from collections.abc import Callable, Iterable
from operator import itemgetter

import igraph
import leidenalg
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN, HDBSCAN, AgglomerativeClustering
from sklearn.metrics import pair_confusion_matrix

from denseil.linking import Rules, auto_threshold, link
from denseil.linking.checks import check_tracks
from denseil.metrics import load_features, load_records

GRID = np.arange(0.3, 0.96, 0.05)


def scores(person: np.ndarray, pids: np.ndarray) -> tuple[float, float, float, float]:
    """Precision, recall and F1 of the pairs, and the share of pairs of two persons that are linked."""
    (_, wrong), (missed, right) = pair_confusion_matrix(pids, person) / 2
    different = pair_confusion_matrix(pids, person)[0].sum() / 2
    return (
        right / max(right + wrong, 1),
        right / (right + missed),
        2 * right / (2 * right + wrong + missed),
        wrong / different,
    )


def reciprocal(vectors: np.ndarray, k: int = 10, weight: float = 0.3) -> np.ndarray:
    """Distances after k-reciprocal re-ranking, without query expansion (Zhong et al., 2017)."""
    distance = 1 - vectors @ vectors.T
    near = np.argsort(distance, axis=1)[:, : k + 1]
    member = np.zeros_like(distance, dtype=bool)
    np.put_along_axis(member, near, True, axis=1)
    encoded = np.where(member & member.T, np.exp(-distance), 0)
    encoded /= encoded.sum(1, keepdims=True)
    least = np.array([np.minimum(row, encoded).sum(1) for row in encoded])
    return (1 - weight) * (1 - least / (2 - least)) + weight * distance


def finch(vectors: np.ndarray, distance: np.ndarray) -> Iterable[np.ndarray]:
    """Partitions of FINCH (Sarfraz et al., 2019), from fine to coarse."""
    label = np.arange(len(vectors))
    while True:
        count = label.max() + 1
        total = np.zeros((count, len(distance)))
        np.add.at(total, label, distance)
        between = np.zeros((count, count))
        np.add.at(between.T, label, total.T)
        sizes = np.bincount(label)
        between /= np.outer(sizes, sizes)
        np.fill_diagonal(between, np.inf)
        first = between.argmin(1)
        merged = connected_components(coo_array((np.ones(count), (np.arange(count), first)), (count, count)))[1]
        label = merged[label]
        yield label
        if label.max() == 0 or len(np.unique(merged)) == count:
            return


def leiden(distance: np.ndarray, gamma: float, k: int = 15) -> np.ndarray:
    """Leiden with the constant Potts model on the k-NN graph; barred pairs have no edge."""
    near = np.argsort(distance, axis=1)[:, 1 : k + 1]
    edges = {(min(a, b), max(a, b)) for a, row in enumerate(near.tolist()) for b in row if distance[a, b] < 1.5}
    graph = igraph.Graph(len(distance), sorted(edges))
    weights = [max(1 - distance[edge], 0) for edge in sorted(edges)]
    found = leidenalg.find_partition(
        graph, leidenalg.CPMVertexPartition, weights=weights, resolution_parameter=gamma, seed=0
    )
    return np.array(found.membership)


def methods(vectors: np.ndarray, rules: Rules) -> dict[str, Callable[[], Iterable[np.ndarray]]]:
    """Partitions of each method over a grid of thresholds."""
    rows = np.arange(len(vectors))
    barred = rules.barred(rows, rows)
    np.fill_diagonal(barred, False)
    found: dict[str, Callable[[], Iterable[np.ndarray]]] = {}
    for tag, distance in (("", np.maximum(1 - vectors @ vectors.T, 0)), (", k-reciprocal", reciprocal(vectors))):
        d = np.where(barred, 2.0, distance)
        np.fill_diagonal(d, 0)

        def linkage(d=d, how="average") -> Iterable[np.ndarray]:
            for t in GRID:
                yield AgglomerativeClustering(
                    None, metric="precomputed", linkage=how, distance_threshold=1 - t
                ).fit_predict(d)

        def single(d=d) -> Iterable[np.ndarray]:
            for t in GRID:
                yield _alone(DBSCAN(eps=1 - t, min_samples=2, metric="precomputed").fit_predict(d))

        def density(d=d) -> Iterable[np.ndarray]:
            for samples in (1, 2, 3):
                yield _alone(HDBSCAN(2, min_samples=samples, metric="precomputed", copy=True).fit_predict(d))

        found |= {
            f"average linkage, barred pairs far apart{tag}": linkage,
            f"complete linkage{tag}": lambda d=d: linkage(d, "complete"),
            f"DBSCAN{tag}": single,
            f"HDBSCAN{tag}": density,
            f"FINCH{tag}": lambda d=d: finch(vectors, d),
            f"Leiden on the k-NN graph{tag}": lambda d=d: [leiden(d, gamma) for gamma in GRID],
        }
    return found


def _alone(labels: np.ndarray) -> np.ndarray:
    """Noise as clusters of one."""
    return np.where(labels < 0, len(labels) + np.arange(len(labels)), labels)


def main(paths: list[str]) -> None:
    rows: dict[str, list[tuple[float, ...]]] = {}
    for path in paths:
        embeddings, records = load_features(path).embeddings, load_records(path)
        pids, times = embeddings.pids.numpy(), {key: [r[key] for r in records] for key in ("start", "end")}
        tracks = check_tracks(embeddings.vectors, embeddings.camids, **times)
        rules = Rules(tracks.camids, tracks.start, tracks.end)

        def ours(timed: bool, threshold: float | str, tracks=tracks, times=times) -> np.ndarray:
            given = times if timed else {}
            return link(tracks.vectors, camids=tracks.camids, **given, threshold=threshold).person

        def best(partitions: Iterable[np.ndarray], pids=pids) -> tuple[float, ...]:
            return max((scores(found, pids) for found in partitions), key=itemgetter(2))

        found = {
            "denseil.linking.link": best(ours(True, t) for t in GRID),
            "denseil.linking.link, without times": best(ours(False, t) for t in GRID),
            "denseil.linking.link, auto": scores(ours(True, "auto"), pids),
            **{name: best(method()) for name, method in methods(tracks.vectors, rules).items()},
        }
        print(path, auto_threshold(tracks, rules))
        for name, row in found.items():
            rows.setdefault(name, []).append(row)
    print("| method | precision | recall | F1 | false links |\n|---|---|---|---|---|")
    for name, values in rows.items():
        mean = 100 * np.mean(values, axis=0)
        print(f"| {name} | {mean[0]:.1f} | {mean[1]:.1f} | {mean[2]:.1f} | {mean[3]:.2f} % |")


if __name__ == "__main__":
    main(sys.argv[1:])

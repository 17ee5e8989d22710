"""Queries and results of a search. Imported only when a search runs, because it needs torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import torch

from denseil.cli.pages import Asked, Query
from denseil.common.arguments import shown
from denseil.common.text import plain
from denseil.data import read_folder
from denseil.embedding import Embedder
from denseil.embedding.cache import model_name, weights_digest
from denseil.gallery import Gallery, Where, features_model, name_model, read_features
from denseil.gallery.checks import check_opened
from denseil.gallery.features import one_file
from denseil.gallery.record import FloatArray
from denseil.gallery.same import is_itself
from denseil.models import model_id
from denseil.viz import attend


def read_queries(
    query: str, held: Gallery, model: str | None, device: torch.device | None, *, attention: bool
) -> tuple[list[Query], FloatArray]:
    """Read or embed the queries, with their vectors (Q, D)."""
    path = Path(query)
    if path.is_dir():
        if model is None:
            raise ValueError(f"{query} is a folder of pictures: name the model that filled the gallery with --model")
        return _embed(path, model, held, device, attention=attention)
    if path.suffix == ".safetensors":
        with one_file(path):
            (records, vectors), made_by = read_features(path), features_model(path)
        check_opened(held, vectors.shape[1], made_by)
    else:
        stored = held.find([query]).get(query) or _refuse_query(query, held)
        records, vectors = [stored.record], stored.vector[None]
    return [Query.of(record) for record in records], vectors


def _refuse_query(query: str, held: Gallery) -> NoReturn:
    """Raise KeyError, with the id of some record as an example."""
    example = next((f", such as {shown(item.record.id)}" for block in held.scan() for item in block), "")
    raise KeyError(
        f"{shown(query)} is no record in {plain(held.uri)}, and no folder or features file: give a whole id{example}, "
        "a folder of crops with --model, or FILE.safetensors"
    )


def _embed(
    folder: Path, model: str, held: Gallery, device: torch.device | None, *, attention: bool
) -> tuple[list[Query], FloatArray]:
    embedder = Embedder(model, device=device)
    identity = model_id(embedder.model, embedder.preprocessing)
    name = name_model(model_name(embedder.model), weights_digest(embedder.model), identity)
    check_opened(held, embedder.num_features, name)
    tracklets = read_folder(folder)
    queries = [
        Query(
            tracklet.name,
            thumbnail=tracklet.middle,
            attention=attend(embedder.model, tracklet.frames) if attention else None,
        )
        for tracklet in tracklets
    ]
    return queries, embedder.embed(tracklets).numpy()


def ask(
    held: Gallery,
    queries: list[Query],
    vectors: FloatArray,
    k: int,
    where: Where,
    *,
    other_cameras: bool,
    exact: bool,
) -> list[Asked]:
    """Search once for all queries, or once for each of their cameras; a query is not among its own results."""
    cameras = [query.record.camid if other_cameras and query.record else None for query in queries]
    answers: dict[int, Asked] = {}
    for camid in dict.fromkeys(cameras):
        places = [at for at, camera in enumerate(cameras) if camera == camid]
        own = where if camid is None else replace(where, not_camids={*where.not_camids, camid})
        found = held.search(vectors[places], k + 1, where=own, exact=exact)
        for at, hits in zip(places, found, strict=True):
            own_record = queries[at].record
            others = [hit for hit in hits if own_record is None or not is_itself(own_record, hit)]
            answers[at] = Asked(queries[at], others[:k])
    return [answers[at] for at in range(len(queries))]

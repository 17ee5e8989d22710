"""The verb that embeds a gallery's records again with another model."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from denseil.cli import options
from denseil.cli.computing import begin
from denseil.cli.output import progressing, show
from denseil.cli.parser import Verbs
from denseil.common.text import counted, plain

if TYPE_CHECKING:
    from torch import Tensor

    from denseil.embedding import Embedder
    from denseil.gallery import Record

logger = logging.getLogger(__name__)
BLOCK = 256  # records


def declare(verbs: Verbs) -> None:
    """Declare `gallery reembed`."""
    verb = verbs.add(
        "gallery reembed",
        reembed,
        "Embed the records of a gallery with another model, into a new gallery.",
        examples=(
            "denseil gallery reembed people adapted-people --model adapted",
            "denseil gallery reembed people http://127.0.0.1:19530 --model runs/mars/final --device cuda",
        ),
        more="The crops of a record are the images in the folder of its thumbnail. Records are left out, and the "
        "exit status is 1, if this folder is gone, has no readable image, has images in subfolders, or is shared with "
        "another record.",
        again="run the same command again: records that the new gallery already holds are kept",
    )
    what = verb.subject("input and output")
    what.add("source", help=options.GALLERY)
    what.add("target", help="gallery to fill; created if it does not exist")
    what.add(
        "--model", required=True, metavar="MODEL", help="a saved folder, a name with weights, or hf-hub:OWNER/NAME"
    )
    options.compute(verb)
    options.general(verb, json=True, modules=True)


def reembed(source: str, target: str, model: str, device: str, seed: int, json: bool) -> int:
    """Embed the records of a gallery with another model, into a new gallery."""
    import numpy as np

    from denseil import gallery as galleries
    from denseil.common.progress import progress_bar
    from denseil.embedding import Embedder
    from denseil.embedding.cache import model_name, weights_digest
    from denseil.gallery.opening import check_two
    from denseil.gallery.same import check_held
    from denseil.models import model_id

    check_two(source, target)
    where, _ = begin(device, seed)
    with galleries.open(source) as held:
        records = [item.record for block in held.scan() for item in block]
    there = _with_crops(records)
    if not there:
        raise ValueError(
            f"none of the {len(records):,} records of {source} has crops that exist: there is nothing to embed"
        )
    embedder = Embedder(model, device=where)
    identity = model_id(embedder.model, embedder.preprocessing)
    name = galleries.name_model(model_name(embedder.model), weights_digest(embedder.model), identity)
    with (
        galleries.open(target, embedder.num_features, name) as other,
        progress_bar(len(there), unit="record", show=progressing()) as bar,
    ):
        done = other.find([record.id for record in there])
        kept = [record for record in there if record.id in done]
        check_held(kept, np.array([done[record.id].vector for record in kept]), done, target)  # the same tracklets
        bar.update(len(done))
        missing = [record for record in there if record.id not in done]
        embedded = 0
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            if made := _embed(embedder, block):
                other.add([record for record, _ in made], [vector for _, vector in made])
            embedded += len(made)
            bar.update(len(block))
        total = other.count()
    left_out = len(records) - len(done) - embedded
    text = f"embedded records: {embedded:,} of {len(records):,}; {plain(target)} holds {total:,}"
    if left_out:
        text += f"\nleft out, as their crops are gone, unreadable or beside other crops: {counted(left_out, 'record')}"
    found = {"embedded": embedded, "records": len(records), "left_out": left_out, "total": total, "model": identity}
    show(found, as_json=json, text=text)
    return 1 if left_out else 0


def _with_crops(records: Sequence[Record]) -> list[Record]:
    """Return the records whose thumbnail exists, in a folder that holds the crops of no other record."""
    pictures = [record for record in records if record.thumbnail]
    sharing = Counter(Path(record.thumbnail).parent for record in pictures)
    return [
        record
        for record in pictures
        if sharing[Path(record.thumbnail).parent] == 1 and Path(record.thumbnail).is_file()
    ]


def _embed(embedder: Embedder, records: Sequence[Record]) -> list[tuple[Record, Tensor]]:
    """Embed the crops of records; a record whose folder is not one readable tracklet is left out with a warning."""
    folders = [Path(record.thumbnail).parent for record in records]
    try:
        return list(zip(records, embedder.embed(folders), strict=True))
    except (ValueError, OSError):  # again, one by one, to find those that fail
        made = []
    for record, folder in zip(records, folders, strict=True):
        try:
            made.append((record, embedder(folder)))
        except (ValueError, OSError) as error:  # noqa: PERF203 (a record takes milliseconds)
            logger.warning("record %r is left out: %s", record.id, error)
    return made

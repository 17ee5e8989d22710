"""The verb that embeds a gallery's records again with another model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from denseil.cli import options
from denseil.cli.computing import begin
from denseil.cli.output import progressing, show
from denseil.cli.parser import Verbs
from denseil.common.text import plain

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
        more="The crops of a record are the images in the folder of its thumbnail. Records whose folder is gone, or "
        "is shared with another record, are left out, and the exit status is then 1.",
        again="run the same command again: records that the new gallery already holds are kept",
    )
    what = verb.subject("input and output")
    what.add("source", help="a folder, s3://..., or http://HOST:PORT of Milvus")
    what.add("target", help="gallery to fill; created if it does not exist")
    what.add(
        "--model", required=True, metavar="MODEL", help="a saved folder, a name with weights, or hf-hub:OWNER/NAME"
    )
    options.compute(verb)
    options.general(verb, json=True, modules=True)


def reembed(source: str, target: str, model: str, device: str, seed: int, json: bool) -> int:
    """Embed the records of a gallery with another model, into a new gallery."""
    from denseil import gallery as galleries
    from denseil.common.progress import progress_bar
    from denseil.embedding import Embedder
    from denseil.gallery.opening import check_two
    from denseil.models import model_id

    check_two(source, target)
    where, _ = begin(device, seed)
    with galleries.open(source) as held:
        records = [item.record for block in held.scan() for item in block]
    folders = {record.id: Path(record.thumbnail).parent for record in records if record.thumbnail}
    sharing = Counter(folders.values())
    there = [
        record
        for record in records
        if record.id in folders and sharing[folders[record.id]] == 1 and Path(record.thumbnail).is_file()
    ]
    if not there:
        raise ValueError(
            f"none of the {len(records):,} records of {source} has crops that exist: there is nothing to embed"
        )
    embedder = Embedder(model, device=where)
    identity = model_id(embedder.model, embedder.preprocessing)
    with (
        galleries.open(target, embedder.num_features, identity) as other,
        progress_bar(len(there), unit="record", show=progressing()) as bar,
    ):
        done = set(other.find([record.id for record in there]))
        bar.update(len(done))
        missing = [record for record in there if record.id not in done]
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            other.add(block, embedder.embed(folders[record.id] for record in block))
            bar.update(len(block))
        total = other.count()
    left_out = len(records) - len(there)
    text = f"embedded records: {len(missing):,} of {len(records):,}; {plain(target)} holds {total:,}"
    if left_out:
        text += f"\nleft out: {left_out:,} records whose crops are gone, or in a folder with those of others"
    found = {"embedded": len(missing), "records": len(records), "left_out": left_out, "total": total, "model": identity}
    show(found, as_json=json, text=text)
    return 1 if left_out else 0

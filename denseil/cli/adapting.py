"""The verb that adapts a model to your own cameras."""

from __future__ import annotations

import os
from pathlib import Path

from denseil.cli import options, values
from denseil.cli.output import note, progressing, show
from denseil.cli.parser import Verbs
from denseil.common.extras import need

PAGE = "adapt.html"


def declare(verbs: Verbs) -> None:
    """Declare `adapt`."""
    verb = verbs.add(
        "adapt",
        adapt,
        "Adapt a model to your cameras with unlabelled tracklets.",
        examples=(
            "denseil adapt denseil_mobilenetv2 crops/door crops/hall --output adapted",
            "denseil adapt runs/mars/final crops/manifest.csv --output adapted --minutes 20 --seed 1",
        ),
        more="Each stage is kept only if tracklets of two persons then match the same tracklet of another camera less "
        "often; otherwise the output is the original model. Identities in a manifest are not used.",
        again=options.CONTINUES,
    )
    what = verb.subject("input and output")
    what.add("model", help="a saved folder, a name with weights, or hf-hub:OWNER/NAME; it is not changed")
    what.add(
        "tracklets",
        type=values.path,
        nargs="+",
        help="manifests, as denseil tracklets writes one for each video, or folders of crops",
    )
    what.add(
        "-o",
        "--output",
        type=values.new_folder,
        required=True,
        metavar="FOLDER",
        help="the folder of the adapted model",
    )
    what.add(
        "--minutes",
        type=values.number(0, above=True),
        default=5,
        metavar="N",
        help="time budget in minutes; a stage that would probably exceed it is not started",
    )
    what.flag("--page", default=True, help=f"write {PAGE} with histograms and clusters (needs the extra viz)")
    options.compute(verb)
    options.general(verb, json=True, modules=True)


def adapt(
    model: str, tracklets: list[Path], output: Path, minutes: float, page: bool, device: str, seed: int, json: bool
) -> int:
    """Adapt a model to your cameras with unlabelled tracklets."""
    from denseil.cli.adapt_page import adapt_page
    from denseil.cli.computing import begin
    from denseil.cli.link_checks import check_recordings
    from denseil.cli.video import read_tracklets
    from denseil.embedding.cache import describe
    from denseil.training import adapt as run

    if page:
        for package in ("jinja2", "matplotlib"):
            need(package, to="write the page (or give --no-page)", extra="viz")
    begin(device, seed)
    sources = [read_tracklets(source, None, "all") for source in tracklets]
    firsts = [{os.path.realpath(tracklet.frames[0]) for tracklet in source} for source in sources]
    if len(set[str]().union(*firsts)) < sum(map(len, firsts)):
        raise ValueError("two tracklets have the same frames: give each folder or manifest once")
    found = [tracklet for source in sources for tracklet in source]
    check_recordings(list(describe(found)), [tracklet.camid for tracklet in found])
    result = run(model, found, output=output, seed=seed, minutes=minutes, device=device, progress=progressing())
    show(result, as_json=json)
    if page:
        adapt_page(result, found).write(output / PAGE)
        note(f"the page is {output / PAGE}")
    return 0

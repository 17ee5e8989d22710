"""The verb that evaluates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from denseil.cli import options, reassociation, values
from denseil.cli.computing import begin, dtype_of, open_model
from denseil.cli.output import STDOUT, progressing, say, show_and_write
from denseil.cli.parser import UsageError, Verb, Verbs, refuse_unused
from denseil.cli.saved_result import name_of_model, result_name, save_result
from denseil.common.text import plain

if TYPE_CHECKING:
    from denseil.data import VideoReIDDataset
    from denseil.metrics import Embeddings, RankingResult
    from denseil.models import DenseIL

OUTPUT = Path("evaluation")


def declare(verbs: Verbs) -> None:
    """Declare `evaluate`."""
    verb = verbs.add(
        "evaluate",
        evaluate,
        "Evaluate a model on a dataset, or saved features of any code base.",
        examples=(
            "denseil evaluate runs/mars/final mars /data/mars --protocol mars-official",
            "denseil evaluate --features q.safetensors g.safetensors --json out.json",
            "denseil evaluate MODEL --mot street.txt --video street.mp4 --gap 30,90,300",
        ),
        more="Give MODEL DATASET ROOT, or --features, or MODEL --mot FILE --video FILE. `accelerate launch -m "
        "denseil evaluate ...` splits the work over processes.",
    )
    _declare_input(verb)
    reassociation.declare(verb)
    how = verb.subject("protocol")
    how.add("--protocol", default="standard", metavar="NAME", help="standard or mars-official")
    how.add("--metric", choices=("cosine", "euclidean"), default="cosine", help="distance between embeddings")
    how.flag("--rerank", help="re-rank by k-reciprocal neighbours (Zhong et al., CVPR 2017)")
    how.add("--frames", choices=options.FRAMES, default="all", help="all frames of a tracklet, or 8 evenly spaced ones")
    options.compute(verb, precision=True)
    out = verb.subject("output")
    out.add(
        "-o",
        "--output",
        type=values.new_folder,
        default=OUTPUT,
        metavar="FOLDER",
        help="folder for the result and the embeddings, which are reused for another protocol",
    )
    out.add(
        "--json",
        type=values.new_file_or_stdout,
        nargs="?",
        metavar="FILE",
        help="write the result as JSON; - or no FILE prints it",
    )
    out.actions[-1].const = STDOUT
    out.add("--plot", type=values.new_picture, metavar="FILE", help="plot the CMC curve; the suffix gives the format")
    out.add(
        "--page",
        type=values.new(".html"),
        metavar="FILE.html",
        help="write a page with scores and the 200 worst queries",
    )
    out.flag("--attention", help="show the attention on each query on the page")
    options.general(verb, modules=True)


def _declare_input(verb: Verb) -> None:
    what = verb.subject("input")
    what.add("model", optional=True, help="a saved model's folder, or the name of a model with weights")
    what.add("dataset", optional=True, help=options.DATASETS)
    what.add("root", optional=True, type=values.path, help="the folder of the dataset, or the manifest")
    what.add(
        "--features",
        type=values.path,
        nargs=2,
        metavar=("QUERY", "GALLERY"),
        help="instead of these, two features files; for mars-official the gallery includes the queries",
    )
    what.gather(
        "--data-args", type=values.mapping, metavar="NAME=VALUE", help="arguments of the reader, such as split=3"
    )
    options.weights(what)


def evaluate(
    model: str | None,
    dataset: str | None,
    root: Path | None,
    features: list[Path] | None,
    data_args: dict[str, object] | None,
    checkpoint: Path | None,
    random_weights: bool,
    model_args: dict[str, Any] | None,
    mot: Path | None,
    video: Path | None,
    gap: tuple[int, ...],
    stride: int,
    window: tuple[int, ...],
    protocol: str,
    metric: str,
    rerank: bool,
    frames: Literal["all", "even8"],
    device: str,
    precision: Literal["fp32", "bf16", "fp16"],
    seed: int,
    output: Path,
    json: Path | None,
    plot: Path | None,
    page: Path | None,
    attention: bool,
) -> int:
    """Evaluate a model on a dataset, or saved features of any code base."""
    of_dataset = {"--data-args": data_args, "--frames": frames != "all", "--output": output != OUTPUT}
    if mot is not None or video is not None:
        reassociation.check(model, mot, video, dataset=dataset, features=features)
        of_ranking = {"--protocol": protocol != "standard", "--metric": metric != "cosine", "--rerank": rerank}
        of_page = {"--plot": plot, "--page": page, "--attention": attention}
        refuse_unused("--mot", {**of_dataset, **of_ranking, **of_page})
    else:
        refuse_unused("without --mot", reassociation.given(gap, stride, window))
        _check(model, dataset, root, features, page, attention=attention, rerank=rerank)
    if features is not None:
        of_model = {"--checkpoint": checkpoint, "--random-weights": random_weights, "--model-args": model_args}
        computing = {"--device": device != "auto", "--precision": precision != "fp32", "--seed": seed}
        refuse_unused("--features", {**of_dataset, **of_model, **computing})
        return _rank_features(features, protocol, metric, rerank, json, plot, page)

    import denseil
    from denseil.common.files import check_output_folder
    from denseil.metrics import KReciprocal

    if mot is None:
        check_output_folder(output)
    where, main = begin(device, seed)
    dtype = dtype_of(precision)
    net = open_model(str(model), where, checkpoint=checkpoint, random_weights=random_weights, model_args=model_args)
    if mot is not None and video is not None:
        found = reassociation.evaluate(net, mot, video, gap, stride, window, dtype)
        if main:
            reassociation.show_results(found, json)
        return 1 if found[0].missing_boxes else 0
    data = denseil.data.read_dataset(str(dataset), str(root), **(data_args or {}))
    result = denseil.evaluate(
        net,
        data,
        frames=frames,
        protocol=protocol,
        metric=metric,
        rerank=KReciprocal() if rerank else None,
        cache=output,
        dtype=dtype,
        progress=progressing(),
    )
    if main:
        settings = [frames, protocol, metric, *["reranked"] * rerank, *[precision] * (precision != "fp32")]
        file = result_name(str(model), str(dataset), settings, checkpoint=checkpoint, data_args=data_args)
        save_result(result, output / file, quietly=json == STDOUT)
        _report(result, json, plot)
    if page is not None:
        embed = partial(denseil.embedding.embed_dataset, net, data, frames=frames, cache=output, dtype=dtype)
        subtitle = f"{name_of_model(str(model))} on {dataset}"
        _page_of_model(result, net, data, embed, page, subtitle, attention=attention)
        if main:
            _say_page(page, json)
    return 0


def _rank_features(
    features: list[Path],
    protocol: str,
    metric: str,
    rerank: bool,
    json: Path | None,
    plot: Path | None,
    page: Path | None,
) -> int:
    """Evaluate saved features."""
    from denseil.metrics import KReciprocal, rank_features

    result = rank_features(*features, protocol=protocol, metric=metric, rerank=KReciprocal() if rerank else None)
    _report(result, json, plot)
    if page is not None:
        from denseil.viz import evaluation_page, shown_features

        query, gallery = (shown_features(path) for path in features)
        evaluation_page(result, query, gallery, subtitle="saved features").write(page)
        _say_page(page, json)
    return 0


def _report(result: RankingResult, json: Path | None, plot: Path | None) -> None:
    show_and_write(result, json)
    if plot is not None:
        result.plot(plot)


def _say_page(page: Path, json: Path | None) -> None:
    if json != STDOUT:
        say(plain(f"page: {page}"))


def _check(
    model: str | None,
    dataset: str | None,
    root: Path | None,
    features: list[Path] | None,
    page: Path | None,
    *,
    attention: bool,
    rerank: bool,
) -> None:
    if rerank and page is not None:
        raise UsageError("--page shows lists that are not re-ranked: leave out --page or --rerank")
    if attention and (page is None or features is not None):
        raise UsageError("--attention needs a model and a page: give --page FILE.html, and no --features")
    given = [str(word) for word in (model, dataset, root) if word is not None]
    if features is not None and given:
        raise UsageError(f"give --features or MODEL DATASET ROOT ({' '.join(given)}), not both")
    if features is None and len(given) < 3:
        raise UsageError(
            "nothing to evaluate: give MODEL DATASET ROOT, or --features QUERY.safetensors GALLERY.safetensors"
        )


def _page_of_model(
    result: RankingResult,
    model: DenseIL,
    data: VideoReIDDataset,
    embed: Callable[[], Embeddings],
    page: Path,
    subtitle: str,
    *,
    attention: bool,
) -> None:
    """Write the page in the main process, from the cached embeddings that all processes share."""
    from denseil.common.processes import rank_and_world, wait_for_all
    from denseil.metrics.protocols import get_protocol
    from denseil.viz import attend, evaluation_page, shown_dataset

    wait_for_all()  # until the shared cache is written
    query, gallery = shown_dataset(data, embed(), with_queries=get_protocol(result.protocol).queries_in_gallery)
    if rank_and_world()[0] == 0:
        look = (lambda place: attend(model, data.query[place].frames)) if attention else None
        evaluation_page(result, query, gallery, subtitle=subtitle, attend=look).write(page)

"""The verb that links tracklets to persons."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

from denseil.cli import options, values
from denseil.cli.output import note, say, show
from denseil.cli.parser import UsageError, Verb, Verbs, refuse_unused
from denseil.common.arguments import shown
from denseil.common.text import counted, plain

FAR = 0.01  # that of `link`


def declare(verbs: Verbs) -> None:
    """Declare `link`."""
    verb = verbs.add(
        "link",
        link,
        "Assign person numbers to tracklets, across cameras and visits.",
        examples=(
            "denseil link door.safetensors hall.safetensors -o persons.csv --page links.html",
            "denseil link door.safetensors hall.safetensors -o persons.csv --questions answers.csv",
            "denseil link door.safetensors hall.safetensors -o persons.csv --confirm answers.csv",
        ),
        more="Tracklets that one camera shows at the same time are never one person. Times of all files must be on one "
        "clock.",
    )
    _declare_input(verb)
    _declare_rules(verb)
    options.general(verb, json=True)


def _declare_input(verb: Verb) -> None:
    what = verb.subject("input and output")
    what.add("features", type=values.path, nargs="+", help="features files, from denseil embed with one model")
    what.add("-o", "--output", type=values.new(".csv"), required=True, metavar="FILE.csv", help="a row per tracklet")
    what.add("--page", type=values.new(".html"), metavar="FILE.html", help="write a page with pictures of each person")
    what.add(
        "--mot",
        type=values.new_folder,
        metavar="FOLDER",
        help="write the boxes of --tracks with persons as ids, a file per camera and video",
    )
    what.gather(
        "--tracks",
        type=_source,
        metavar="VIDEO=FILE",
        help="the tracker's boxes of each video, such as door.mp4=door.txt, or c2/clip.mp4=clip.txt where several "
        "cameras have a clip.mp4, for --mot",
    )


def _declare_rules(verb: Verb) -> None:
    how = verb.subject("threshold and constraints")
    how.add(
        "--far",
        type=values.number(0, 0.5, above=True),
        shown=FAR,
        metavar="X",
        help="rate of false links, the share of pairs of two persons that are linked; the threshold is midway between "
        "the one of this rate and the one of the highest expected F1",
    )
    how.add(
        "--threshold",
        type=values.number(-1, 1),
        metavar="X",
        help="minimum average cosine similarity of the tracklets of one person, instead of the threshold for --far",
    )
    how.add(
        "--travel",
        type=values.path,
        metavar="FILE.csv",
        help="times between cameras: columns from, to, least, most (seconds)",
    )
    asked = verb.subject("answers to questions")
    asked.add(
        "--questions",
        type=values.new(".csv"),
        metavar="FILE.csv",
        help="write the answers so far and the doubtful pairs",
    )
    asked.gather(
        "--confirm",
        type=_answers,
        metavar="FILE.csv",
        help="answers, in one or more files: columns tracklet, other, same (yes or no)",
    )


def link(
    features: list[Path],
    output: Path,
    page: Path | None,
    mot: Path | None,
    tracks: list[tuple[str, Path]] | None,
    far: float | None,
    threshold: float | None,
    travel: Path | None,
    questions: Path | None,
    confirm: list[Path] | None,
    json: bool,
) -> int:
    """Assign person numbers to tracklets, across cameras and visits."""
    from denseil import linking
    from denseil.cli import link_checks, link_mot
    from denseil.linking.answers import write_questions
    from denseil.linking.rules import ConflictError
    from denseil.metrics import load_features
    from denseil.metrics.merging import read_together

    _check_options(mot, tracks, far=far, threshold=threshold, questions=questions)
    embeddings, records = read_together(features)
    vectors = embeddings.vectors
    names = [str(record["id"]) for record in records]
    written = linking.csv_names(names)
    link_checks.check_clocks(records)
    link_checks.check_recordings(records, embeddings.camids.tolist())
    jobs = link_mot.plan(mot, tracks, names, records) if mot and tracks else []
    rows = {name: row for row, name in enumerate(names)}
    answers = linking.read_answers(confirm, rows) if confirm else linking.Answers([], [])
    known = [*answers.must_link, *answers.cannot_link]
    if confirm and not known:
        link_checks.warn_of_no_answers(confirm)
    ways = linking.read_travel(travel) if travel else None
    link_checks.check_cameras(ways, embeddings.camids.tolist())
    try:
        links = linking.link(
            vectors,
            camids=embeddings.camids,
            start=[record.get("start", float("nan")) for record in records],
            end=[record.get("end", record.get("start", float("nan"))) for record in records],
            threshold="auto" if threshold is None else threshold,
            far=FAR if far is None else far,
            must_link=answers.must_link,
            cannot_link=answers.cannot_link,
            travel=ways,
            model_id=load_features(features[0]).metadata.get("model_id"),
        )
    except ConflictError as error:
        raise ValueError(error.told(lambda row: shown(names[row]))) from None
    links.to_csv(output, names)
    doubtful = linking.doubts(links, vectors, known=known, travel=ways) if page or questions else []
    if questions:
        write_questions(questions, doubtful, written, answers)
        after = f", after {counted(len(known), 'answer')}" * bool(known)
        note(f"{counted(len(doubtful), 'question')}{after}: {questions}")
    if page:
        from denseil.cli.link_page import link_page

        link_page(links, records, doubtful).write(page)
        note(f"the page is {page}")
    if jobs:
        link_mot.write(jobs, names, links.person)
    found = {
        "tracklets": len(links),
        "persons": links.num_persons,
        "threshold": links.threshold,
        "centred": links.centred,
    }
    show(found, as_json=json, text=str(links))
    if not json:
        say(plain(f"written to {output}"))
    return 0


def _check_options(
    mot: Path | None,
    tracks: list[tuple[str, Path]] | None,
    *,
    far: float | None,
    threshold: float | None,
    questions: Path | None,
) -> None:
    """Raise UsageError for options that exclude each other, or lack another, and for answers to be written over."""
    from denseil.linking.answers import holds_answers

    if (mot is None) != (not tracks):
        raise UsageError("--mot FOLDER and --tracks VIDEO=FILE go together: give both or neither")
    if threshold is not None:
        refuse_unused("--threshold", {"--far": far is not None})
    if questions and holds_answers(questions):
        raise UsageError(
            f"{questions} holds answers: read them with --confirm, and give --questions another file, or remove it"
        )


def _answers(word: str) -> list[Path]:
    """Read a file of answers."""
    return [Path(word)]


def _source(word: str) -> list[object]:
    """Read VIDEO=FILE."""
    video, equals, file = word.rpartition("=")
    if not (video and equals and file):
        raise ArgumentTypeError(f"{word!r} is not VIDEO=FILE, such as door.mp4=door.txt")
    return [(video, Path(file))]

"""`denseil link`: persons as CSV, the page with hostile names, questions and answers, travel times."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denseil.cli import main
from denseil.cli.link_page import link_page
from denseil.linking import Links, csv_names, doubts, link, persons_of_tracks, read_travel
from denseil.metrics import Embeddings, save_features
from denseil.metrics.merging import read_together

HOSTILE = "</script><script>window.hacked=1</script>\n=cmd()"
SPELT = HOSTILE.replace("\n", "\\n")  # in CSV files


def features(path: Path, names: list[str], vectors: list[list[float]], camid: int, model: str = "m") -> Path:
    """A features file of one camera; tracklets start every 100 s and last 10."""
    embeddings = Embeddings(torch.tensor(vectors), torch.full((len(names),), -1), torch.full((len(names),), camid))
    records = [{"id": name, "start": 100.0 * place, "end": 100.0 * place + 10} for place, name in enumerate(names)]
    save_features(path, embeddings, metadata={"model_id": model}, records=records)
    return path


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    one = features(tmp_path / "a.safetensors", [HOSTILE, "b"], [[1, 0, 0], [0, 1, 0]], 1)
    other = features(tmp_path / "b.safetensors", ["c", "d"], [[1, 0.2, 0], [0, 0, 1]], 2)
    return [str(one), str(other)]


def persons(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["tracklet"]: row["person"] for row in csv.DictReader(file)}


def test_the_weakest_of_three_tracklets_is_marked(tmp_path: Path):
    file = features(tmp_path / "a.safetensors", ["a", "b", "c"], [[1, 0, 0], [1, 0.1, 0], [1, -0.6, 0]], 1)
    page = tmp_path / "p.html"
    assert main(["link", str(file), "-o", str(tmp_path / "p.csv"), "--page", str(page), "--threshold", "0.5"]) == 0
    html = page.read_text(encoding="utf-8")
    assert html.count("weakest link") == 1
    assert html.index("weakest link") < html.index('title="c"') < html.index("weakest link") + 60


def test_persons_page_and_questions(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, page, questions = (tmp_path / name for name in ("p.csv", "p.html", "q.csv"))
    options = ["-o", str(out), "--page", str(page), "--questions", str(questions), "--threshold", "0.98"]
    assert main(["link", *two, *options]) == 0
    assert "4 tracklets: 3 persons, 1 of them with several tracklets; threshold 0.980" in capsys.readouterr().out
    found = persons(out)
    assert found[SPELT] == found["c"]
    assert len(set(found.values())) == 3
    html = page.read_text(encoding="utf-8")
    assert "<script>window" not in html
    assert "&lt;script&gt;window.hacked=1" in html
    assert html.count("<script") == 2
    assert html.index("Doubtful pairs") < html.index("<h2>3 persons")
    assert "weakest link" not in html  # of two tracklets, both are as weak
    assert 'class="part persons large"' in html
    with questions.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["tracklet", "other", "same"]
    assert {SPELT, "c"} in [set(row[:2]) for row in rows[1:]]


def test_the_page_shows_three_frames_of_a_tracklet_whose_folder_is_its_own(tmp_path: Path):
    def tracklet(folder: str, count: int, shade: int) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        for number in range(1, count + 1):
            Image.new("RGB", (8, 16), (shade, 10 * number, 0)).save(tmp_path / folder / f"{shade}-{number}.png")
        return str(tmp_path / folder / f"{shade}-1.png")

    pictures = [
        tracklet("own", 12, 10),
        tracklet("shared", 4, 90),
        tracklet("shared", 4, 170),
        str(tmp_path / "x" / "y.png"),
    ]
    links = link(np.eye(4), camids=[1, 2, 3, 4], threshold=0.5)
    records = [{"id": str(row), "thumbnail": path} for row, path in enumerate(pictures)]
    page = link_page(links, records, [])
    html = page.html()
    assert html.count('class=" strip"') == 1
    assert [page.thumbnails.number(str(tmp_path / "own" / f"10-{number}.png")) for number in (1, 7, 12)] == [0, 1, 2]
    assert len(page.thumbnails.pictures) == 5  # and those of the two that share a folder


def test_answers_are_followed_and_not_asked_again(two: list[str], tmp_path: Path):
    out, questions, answers = (tmp_path / name for name in ("p.csv", "q.csv", "a.csv"))
    with answers.open("w", newline="") as file:
        csv.writer(file).writerows([["tracklet", "other", "same"], [HOSTILE, "c", "no"], ["d", "b", "Yes"]])
    options = ["-o", str(out), "--confirm", str(answers), "--questions", str(questions), "--threshold", "0.98"]
    assert main(["link", *two, *options, "--json"]) == 0
    found = persons(out)
    assert found[SPELT] != found["c"]
    assert found["b"] == found["d"]
    with questions.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    told = {(frozenset(row[:2]), row[2]) for row in rows if row[2]}
    assert told == {(frozenset([SPELT, "c"]), "no"), (frozenset(["b", "d"]), "yes")}
    assert {SPELT, "c"} not in [set(row[:2]) for row in rows if not row[2]]
    assert [bool(row[2]) for row in rows] == sorted((bool(row[2]) for row in rows), reverse=True)  # answers first
    again = tmp_path / "again.csv"  # the next round needs the new file alone
    assert main(["link", *two, "-o", str(again), "--confirm", str(questions), "--threshold", "0.98"]) == 0
    assert persons(again) == found


def test_answers_in_several_files_count_together_however_a_spreadsheet_separates_columns(
    two: list[str], tmp_path: Path
):
    first, second, out = (tmp_path / name for name in ("1.csv", "2.csv", "p.csv"))
    first.write_text("tracklet;other;same\nb;d;yes\n", encoding="utf-8-sig")
    second.write_text("tracklet\tother\tsame\nb\tc\tyes\n")
    for files in (["--confirm", str(first), str(second)], ["--confirm", str(first), "--confirm", str(second)]):
        assert main(["link", *two, "-o", str(out), *files, "--threshold", "0.98"]) == 0
        found = persons(out)
        assert found["b"] == found["c"] == found["d"]
    assert main(["link", *two, "-o", str(out), "--questions", str(first)]) == 2  # answers behind semicolons are kept
    assert "yes" in first.read_text()


def test_a_conflict_of_answers_names_both_sides(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    answers, travel = tmp_path / "a.csv", tmp_path / "t.csv"
    answers.write_text("tracklet,other,same\nd,b,yes\n")
    travel.write_text("from,to,least,most\n1,2,1,2\n9,1,5,\n")
    command = ["link", *two, "-o", str(tmp_path / "p.csv"), "--confirm", str(answers)]
    assert main([*command, "--travel", str(travel)]) == 2  # both files have times 0 and 100
    err = capsys.readouterr().err
    assert "'b' and 'd' must be linked, but 'b' and 'd' are barred by the travel times of cameras 1 and 2" in err
    assert "no tracklet is of camera 9, whose times are not used; the features files have cameras 1, 2" in err
    answers.write_text("tracklet,other,same\nd,b,yes\nb,c,yes\nd,c,no\n")
    assert main(command) == 2
    assert "were told to be two persons: take back one of the two" in capsys.readouterr().err


def test_travel_times_are_followed(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, travel = tmp_path / "p.csv", tmp_path / "t.csv"
    travel.write_text("from,to,least,most\n1,2,5,\n")  # both are seen at time 0
    assert main(["link", *two, "-o", str(out), "--travel", str(travel), "--threshold", "0.98", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["persons"] == 4


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1,2,15,\n1,2,500,\n", "row 2: the way from 1 to 2 is given twice; keep one row"),
        ("1,2,1_5,\n", "row 1: least is '1_5'; give camera numbers and seconds"),
        ("1,\N{ARABIC-INDIC DIGIT TWO},15,\n", "row 1: to is '\N{ARABIC-INDIC DIGIT TWO}'; give camera numbers"),
        ("1.0,2,15,\n", "row 1: from is '1.0'"),
        ("1,2,-5,\n", "travel from 1 to 2: -5.0, inf; give 0 <= least <= most"),
        ("1,2,nan,\n", "row 1: least is 'nan'"),
        ("1,2,,.\n", "row 1: most is '.'"),
        ("1,2,15,,20\n", "row 1: '20' is in a column without a name"),
    ],
)
def test_wrong_travel_times_are_one_line(
    two, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, words: str
):
    travel = tmp_path / "t.csv"
    travel.write_text(f"from,to,least,most\n{rows}", encoding="utf-8")
    assert main(["link", *two, "-o", str(tmp_path / "p.csv"), "--travel", str(travel), "--threshold", "0.5"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_travel_times_are_read_as_a_spreadsheet_writes_them(tmp_path: Path):
    travel = tmp_path / "t.csv"
    travel.write_text("from;to;least;most;\n 1 ;2;1.5;\n-3;+4;;1e3\n\n;;;\n", encoding="utf-8-sig")
    assert read_travel(travel) == {(1, 2): (1.5, float("inf")), (-3, 4): (0.0, 1000.0)}


def test_vectors_of_another_model_are_told_to_need_a_threshold(two, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["link", *two, "-o", str(tmp_path / "p.csv")]
    assert main(command) == 0
    error = capsys.readouterr().err
    assert error.count("the packaged denseil_mobilenetv2, and the vectors are not of it: give a threshold") == 1
    assert main([*command, "--threshold", "0.9"]) == 0
    assert "give a threshold" not in capsys.readouterr().err
    assert main([*command, "--threshold", "0.9", "--far", "0.05"]) == 2
    assert "--threshold: --far would change nothing: leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tracklet,other\n", "lacks the column 'same'"),
        ("tracklet,other,same\nb,c,perhaps\n", "row 1: same is 'perhaps'"),
        ("tracklet,other,same\nb,x,yes\n", "row 1: no tracklet 'x'"),
        ("tracklet,other,same\nb,b,yes\n", "is compared with itself"),
        ("tracklet,other,same\nb,c,,yes\n", "row 1: 'yes' is in a column without a name; move it"),
        ("tracklet,other,same,,\n\nb,c,,yes,\n", "row 1: 'yes' is in a column without a name; move it"),
        ("tracklet,other,same,same\nb,c,yes,\n", "has twice the column 'same'"),
    ],
)
def test_wrong_answers_are_one_line(two, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str):
    answers = tmp_path / "a.csv"
    answers.write_text(text)
    assert main(["link", *two, "-o", str(tmp_path / "p.csv"), "--confirm", str(answers)]) != 0
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_files_of_two_models_and_a_file_given_twice_are_refused(
    two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = features(tmp_path / "c.safetensors", ["e"], [[1, 0, 0]], 3, model="n")
    assert main(["link", *two, str(other), "-o", str(tmp_path / "p.csv")]) != 0
    assert "vectors of two models cannot be compared" in capsys.readouterr().err
    assert main(["link", *two, two[1], "-o", str(tmp_path / "p.csv")]) != 0
    assert "2 ids given twice, first 'c'" in capsys.readouterr().err


def test_doubts_come_least_confident_first_and_never_ask_what_times_answer():
    vectors = torch.tensor([[1.0, 0, 0], [0.9, 0.4, 0], [1, 0.1, 0]])
    links = link(vectors, camids=[1, 2, 1], start=[0, 50, 5], end=[10, 60, 20], threshold=0.8)
    asked = doubts(links, vectors)
    assert asked
    assert all({doubt.one, doubt.other} != {0, 2} for doubt in asked)
    sure = [links.confidence[doubt.one] for doubt in asked]
    assert sure == sorted(sure)


def test_doubts_pass_over_companions_and_pairs_that_were_answered():
    angles = np.radians([0, 5, 46, 51, 95])  # two who look alike walk past both cameras side by side
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    links = link(vectors, camids=[1, 1, 2, 2, 3], start=[0, 0, 60, 60, 99], end=[9, 9, 70, 70, 99], threshold=0.76)
    assert links.num_persons == 5
    asked, again = (doubts(links, vectors, known=known) for known in ((), [(1, 2), (3, 4)]))
    assert [(doubt.one, doubt.other) for doubt in asked] == [(1, 2), (3, 4), (0, 2)]
    assert [(doubt.one, doubt.other) for doubt in again] == [(1, 3), (2, 0), (4, 2)]


def test_doubts_never_ask_about_a_pair_that_travel_times_bar():
    angles = np.radians([0, 1, 30])  # the second looks the same, 2 s after the first in a camera that is 15 s away
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    given = {"camids": [1, 2, 3], "start": [0, 12, 100], "end": [10, 20, 110], "travel": {(1, 2): (15, 60)}}
    links = link(vectors, **given, threshold=0.9)
    asked = doubts(links, vectors, travel=given["travel"])
    assert links.num_persons == 3
    assert asked[0][:2] == (1, 2)
    assert all({doubt.one, doubt.other} != {0, 1} for doubt in asked)


def test_boxes_get_the_persons_of_their_tracklets(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = ["c1/door.mp4/5@0", "c1/door.mp4/5-2@40", "c1/door.mp4/6@0"]
    file = features(tmp_path / "a.safetensors", names, [[1, 0, 0], [0, 1, 0], [0, 1, 0.1]], 1)
    boxes = tmp_path / "door.txt"
    boxes.write_text("".join(f"{frame},{track},1,2,30,40\n" for track in (5, 6, 7) for frame in (1, 2, 90, 91)))
    out, folder = tmp_path / "p.csv", tmp_path / "mot"
    arguments = ["link", str(file), "-o", str(out), "--threshold", "0.9", "--mot", str(folder)]
    assert main([*arguments, "--tracks", f"door.mp4={boxes}"]) == 0
    found = persons(out)
    assert found[names[1]] == found[names[2]] != found[names[0]]
    rows = [line.split(",") for line in (folder / "c1-door.txt").read_text().splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "2", "2", "90", "90", "91", "91"]
    early, late = ({row[1] for row in rows if int(row[0]) < 50}, {row[1] for row in rows if int(row[0]) > 50})
    assert early == {found[names[0]], found[names[2]]}
    assert late == {found[names[1]]}
    capsys.readouterr()
    assert main([*arguments, "--tracks", f"hall.mp4={boxes}"]) != 0
    assert "no tracklet is from video 'hall.mp4'; the features files know door.mp4" in capsys.readouterr().err
    assert main(arguments) != 0
    assert "go together" in capsys.readouterr().err
    out.unlink()
    (folder / "c1-door.txt").write_bytes(boxes.read_bytes())
    for words, text in (
        ([f"door.mp4={boxes}", "door.mp4=x.txt"], "video 'door.mp4' is given 2 times"),
        ([f"door.mp4={tmp_path / 'no.txt'}"], "no tracks file"),
        ([f"door.mp4={folder / 'c1-door.txt'}"], "c1-door.txt is a file of --tracks: it would be written over"),
    ):
        assert main([*arguments, "--tracks", *words]) == 2
        assert text in capsys.readouterr().err
        assert not out.exists()


def test_videos_without_boxes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = features(tmp_path / "a.safetensors", ["c1/door.mp4/5@0", "c1/hall.mp4/5@0"], [[1, 0, 0], [0, 1, 0]], 1)
    (tmp_path / "door.txt").write_text("1,5,1,2,30,40\n")
    command = ["link", str(file), "-o", str(tmp_path / "p.csv"), "--threshold", "0.9", "--mot", str(tmp_path / "mot")]
    assert main([*command, "--tracks", f"door.mp4={tmp_path / 'door.txt'}"]) == 0
    err = capsys.readouterr().err
    assert "--tracks names no boxes of hall.mp4: none are written for it" in err
    assert "no boxes of door.mp4" not in err


def test_boxes_of_videos_whose_names_end_alike_are_files_of_their_own(tmp_path: Path):
    names = ["c1/monday/clip.mp4/5@0", "c1/tuesday/clip.mp4/5@9"]
    file = features(tmp_path / "a.safetensors", names, np.eye(2).tolist(), 1)
    tracks = []
    for number, day in enumerate(("monday", "tuesday"), start=1):
        (tmp_path / f"{day}.txt").write_text("".join(f"{frame},5,1,2,30,40\n" for frame in range(1, 1 + number)))
        tracks.append(f"{day}/clip.mp4={tmp_path / day}.txt")
    command = ["link", str(file), "-o", str(tmp_path / "p.csv"), "--threshold", "0.9", "--mot", str(tmp_path / "mot")]
    assert main([*command, "--tracks", *tracks]) == 0
    lines = {path.name: path.read_text().count("\n") for path in (tmp_path / "mot").iterdir()}
    assert lines == {"c1-monday%2Fclip.mp4.txt": 1, "c1-tuesday%2Fclip.mp4.txt": 2}


def test_boxes_of_two_cameras_with_a_video_of_one_name_are_not_mixed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    names = ["c1/clip.mp4/5@0", "c2/clip.mp4/5@9", "c2/hall.mp4/5@9"]
    file = features(tmp_path / "a.safetensors", names, np.eye(3).tolist(), 1)
    for number in (1, 2):
        (tmp_path / f"{number}.txt").write_text("".join(f"{frame},5,1,2,30,40\n" for frame in range(1, 1 + number)))
    one, other = (str(tmp_path / f"{number}.txt") for number in (1, 2))
    out, folder = tmp_path / "p.csv", tmp_path / "mot"
    command = ["link", str(file), "-o", str(out), "--threshold", "0.9", "--mot", str(folder), "--tracks"]
    for words, text in (
        ([f"clip.mp4={one}"], "cameras 1, 2 have a video 'clip.mp4' each: give c1/clip.mp4=FILE, c2/clip.mp4=FILE"),
        ([f"c1/clip.mp4={one}", f"c1/clip.mp4={other}"], "video 'c1/clip.mp4' is given 2 times"),
        ([f"hall.mp4={one}", f"c2/hall.mp4={other}"], "video 'hall.mp4' is given 2 times"),
        ([f"c1/clip.mp4={one}", f"c2/clip.mp4={one}"], "1.txt is given for 2 videos, and its boxes are those of one"),
        (
            [f"c3/clip.mp4={one}"],
            "no tracklet is from video 'c3/clip.mp4'; the features files know c1/clip.mp4, c2/cli",
        ),
    ):
        assert main([*command, *words]) == 2
        assert text in capsys.readouterr().err
        assert not out.exists()
    assert main([*command, f"c1/clip.mp4={one}"]) == 0
    err = capsys.readouterr().err
    assert "--tracks names no boxes of c2/clip.mp4" in err
    assert "--tracks names no boxes of hall.mp4" in err
    assert main([*command, f"c1/clip.mp4={one}", f"c2/clip.mp4={other}"]) == 0
    lines = {path.name: path.read_text().count("\n") for path in folder.iterdir()}
    assert lines == {"c1-clip.txt": 1, "c2-clip.txt": 2}


def test_boxes_are_those_that_were_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = features(tmp_path / "a.safetensors", ["c1/door.mp4/5@0"], [[1, 0, 0]], 1)
    boxes, out = tmp_path / "door.txt", tmp_path / "p.csv"
    boxes.write_text("1,5,1,2,30,40\n2,5,1,2,30,40\n")
    command = ["link", str(file), "-o", str(out), "--threshold", "0.9", "--mot", str(tmp_path / "mot")]

    def changed(*arguments: object, **keywords: object) -> Links:
        boxes.write_text("9,6,1,2,30,40\n")  # the tracker goes on while tracklets are linked
        return link(*arguments, **keywords)

    monkeypatch.setattr("denseil.linking.link", changed)
    assert main([*command, "--tracks", f"door.mp4={boxes}"]) == 0
    assert (tmp_path / "mot" / "c1-door.txt").read_text().count("\n") == 2
    out.unlink()
    assert main([*command, "--tracks", f"door.mp4={boxes}"]) == 2  # no track of it has a tracklet
    assert not out.exists()


def test_two_days_of_videos_of_one_name_are_linked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    days = [features(tmp_path / f"{at}.safetensors", [f"c1/clip.mp4/5@{at}"], [[1, 0, 0.1]], 1) for at in (0, 86400)]
    records = [{"id": "c1/clip.mp4/5@86400", "start": 86400.0, "end": 86410.0}]
    save_features(days[1], Embeddings(torch.tensor([[1.0, 0, 0]]), [-1], [1]), metadata={}, records=records)
    assert main(["link", *map(str, days), "-o", str(tmp_path / "p.csv"), "--threshold", "0.5"]) == 0
    assert len(set(persons(tmp_path / "p.csv").values())) == 1
    assert "1 person" in capsys.readouterr().out


def test_boxes_of_two_videos_of_one_name_are_not_mixed():
    ids = ["c1/clip.mp4/5@0", "c1/clip.mp4/5@3", "c2/clip.mp4/5@0", "c1/clip.mp4/x@0", "free text"]
    with pytest.raises(ValueError, match="1 of 5 tracklets have the camera, video and track of another one"):
        persons_of_tracks(ids, np.arange(5))
    ids[1] = "c1/clip.mp4/5-3@3"
    assert persons_of_tracks([*ids, "c1/clip.mp4/5-2@1"], np.arange(6)) == {
        (1, "clip.mp4"): {5: [0, 5, 1]},
        (2, "clip.mp4"): {5: [2]},
    }


@pytest.mark.parametrize(("numbers", "missing"), [((1, 3), 2), ((2,), 1), ((1, 2, 10), 3)])
def test_boxes_of_a_track_without_all_its_tracklets_are_refused(numbers: tuple[int, ...], missing: int):
    name = {number: "12" if number == 1 else f"12-{number}" for number in (*numbers, missing)}
    ids = [f"c1/clip.mp4/{name[number]}@{number}" for number in numbers]
    with pytest.raises(ValueError, match=f"tracklet {name[missing]} is missing and {name[numbers[-1]]} is there"):
        persons_of_tracks(ids, np.arange(len(ids)))


def test_boxes_without_a_pause_for_each_tracklet_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = features(tmp_path / "a.safetensors", ["c1/door.mp4/5@0", "c1/door.mp4/5-2@9"], [[1, 0, 0], [0, 1, 0]], 1)
    boxes, out, folder = tmp_path / "door.txt", tmp_path / "p.csv", tmp_path / "mot"
    command = ["link", str(file), "-o", str(out), "--threshold", "0.9", "--mot", str(folder)]
    for frames in (range(1, 21), (*range(1, 11), *range(90, 100))):  # its boxes outside of the picture are in the file
        boxes.write_text("".join(f"{frame},5,1,2,30,40\n" for frame in frames))
        status = main([*command, "--tracks", f"door.mp4={boxes}"])
        assert (status, out.exists()) == ((2, False) if 20 in frames else (0, True))
    assert "track 5 has 2 tracklets and only 0 pauses between its boxes" in capsys.readouterr().err
    rows = [line.split(",")[:2] for line in (folder / "c1-door.txt").read_text().splitlines()]
    assert {(int(frame) > 50, person) for frame, person in rows} == {(False, "1"), (True, "2")}


@pytest.mark.parametrize(
    ("box", "status"), [("1,2,0,0", 0), ("-40,2,30,40", 0), ("1,-50,30,40", 0), ("900,2,30,40", 2)]
)
def test_boxes_that_no_tracklet_shows_do_not_move_the_cut(
    box: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    names, path = ["c1/door.mp4/5@0", "c1/door.mp4/5-2@9"], tmp_path / "a.safetensors"
    records = [{"id": name, "start": at, "end": at, "frames": 19} for at, name in enumerate(names)]
    save_features(path, Embeddings(torch.eye(2), [-1, -1], [1, 1]), records=records)
    shown, filling = [*range(1, 11), *range(12, 21), *range(101, 120)], range(21, 101)
    boxes = tmp_path / "door.txt"
    lines = [f"{at},5,1,2,30,40\n" for at in shown] + [f"{at},5,{box}\n" for at in filling]
    boxes.write_text("".join(lines))
    command = ["link", str(path), "-o", str(tmp_path / "p.csv"), "--threshold", "0.9", "--mot", str(tmp_path / "mot")]
    assert main([*command, "--tracks", f"door.mp4={boxes}"]) == status
    if status:  # beyond the right border, which only the video tells
        assert "divide it into [10, 108] boxes, but its tracklets have [19, 19] frames" in capsys.readouterr().err
    else:
        rows = [line.split(",")[:2] for line in (tmp_path / "mot" / "c1-door.txt").read_text().splitlines()]
        assert [(int(frame), int(person)) for frame, person in rows] == [(at, 1 + (at > 100)) for at in shown]


@pytest.mark.parametrize("last", [range(35, 46), range(31, 42)])  # after 4 frames at a low rate; after a stall
def test_boxes_are_cut_by_the_frames_of_tracklets_where_the_frame_rate_varies(last: range, tmp_path: Path):
    names, path = ["c1/door.mp4/5@0", "c1/door.mp4/5-2@9"], tmp_path / "a.safetensors"
    records = [{"id": name, "start": at, "end": at, "frames": 10 + at} for at, name in enumerate(names)]
    save_features(path, Embeddings(torch.eye(2), [-1, -1], [1, 1]), records=records)
    boxes = tmp_path / "door.txt"  # 20 frames of pause at a high rate take less time
    boxes.write_text("".join(f"{at},5,1,2,30,40\n" for at in (*range(1, 6), *range(26, 31), *last)))
    command = ["link", str(path), "-o", str(tmp_path / "p.csv"), "--threshold", "0.9", "--mot", str(tmp_path / "mot")]
    assert main([*command, "--tracks", f"door.mp4={boxes}"]) == 0
    rows = [line.split(",")[:2] for line in (tmp_path / "mot" / "c1-door.txt").read_text().splitlines()]
    assert {(int(frame) >= last[0], person) for frame, person in rows} == {(False, "1"), (True, "2")}


def test_boxes_of_the_largest_track_ids_get_persons():
    track = 2**63 - 1
    found = persons_of_tracks([f"c1/door.mp4/{track}@0", f"c1/door.mp4/{track}-2@9"], np.array([3, 4]))
    assert found == {(1, "door.mp4"): {track: [3, 4]}}


def test_files_without_ids_are_told_apart_by_as_much_of_the_path_as_it_takes(tmp_path: Path):
    paths = [tmp_path / folder / "x.safetensors" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        save_features(path, Embeddings([[1.0, 0]], [1], [1]))
    assert [record["id"] for record in read_together(paths)[1]] == [f"{path}:0" for path in paths]
    assert [record["id"] for record in read_together(paths[:1])[1]] == ["x:0"]
    with pytest.raises(ValueError, match="1 id given twice"):
        read_together([paths[0]] * 2)


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ({"start": "ten"}, "b.safetensors, tracklet 'd': start is 'ten'; give finite seconds as a number"),
        ({"start": True}, "b.safetensors, tracklet 'd': start is True; give finite seconds as a number"),
        ({"start": 0, "end": 10**400}, "b.safetensors, tracklet 'd': end is 1000"),
        ({"start": 9.5, "end": 2}, "b.safetensors, tracklet 'd' ends at 2, before it starts at 9.5; swap or correct"),
    ],
)
def test_a_wrong_time_is_named_by_file_and_tracklet(
    two: list[str], tmp_path: Path, times: dict[str, object], text: str, capsys: pytest.CaptureFixture[str]
):
    embeddings = Embeddings(torch.eye(3)[:2], torch.tensor([-1, -1]), torch.tensor([2, 2]))
    records = [{"id": "c", "start": None}, {"id": "d"} | times]
    save_features(two[1], embeddings, metadata={"model_id": "m"}, records=records)
    assert main(["link", *two, "-o", str(tmp_path / "p.csv")]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
    assert len(error) < 400


def test_no_id_acts_on_a_terminal_or_a_spreadsheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = ["\x1b]0;title\x07", "=HYPERLINK(1)", "a\r\nb", "-1", "c1/é 人.mp4/12@30.5", "'x", "caf\udce9"]
    out, questions = tmp_path / "p.csv", tmp_path / "q.csv"
    file = features(tmp_path / "a.safetensors", names, np.eye(7).tolist(), 1)
    command = ["link", str(file), "-o", str(out), "--threshold", "0.5"]
    assert main([*command, "--questions", str(questions)]) == 0
    spelt = ["\\x1b]0;title\\x07", "'=HYPERLINK(1)", "a\\r\\nb", *names[3:6], "caf\\udce9"]
    assert list(persons(out)) == spelt == csv_names(names)
    with questions.open(encoding="utf-8", newline="") as read:
        assert {cell for row in list(csv.reader(read))[1:] for cell in row[:2]} <= set(spelt)
    for ids in (spelt, names[:-1]):  # as they are written; as they are
        with questions.open("w", encoding="utf-8", newline="") as answers:
            csv.writer(answers).writerows([("tracklet", "other", "same"), *((name, ids[0], "yes") for name in ids[1:])])
        capsys.readouterr()
        assert main([*command, "--confirm", str(questions), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["persons"] == 8 - len(ids)


def test_two_ids_that_would_be_written_the_same_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = features(tmp_path / "a.safetensors", ["\x1b", "\\x1b"], [[1, 0, 0], [0, 1, 0]], 1)
    assert main(["link", str(file), "-o", str(tmp_path / "p.csv"), "--threshold", "0.5"]) == 2
    assert r"are both \x1b in a CSV file; rename one of them" in capsys.readouterr().err
    assert not (tmp_path / "p.csv").exists()


def test_questions_are_not_written_over_answers(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    questions = tmp_path / "q.csv"
    command = ["link", *two, "-o", str(tmp_path / "p.csv"), "--threshold", "0.5", "--questions", str(questions)]
    assert main(command) == main(command) == 0  # without answers it is only written again
    questions.write_text("tracklet,other,same\nb,c,yes\n")
    capsys.readouterr()
    assert main(command) == 2
    assert "q.csv holds answers: read them with --confirm, and give --questions another" in capsys.readouterr().err
    assert questions.read_text().endswith("yes\n")


@pytest.mark.parametrize(
    ("text", "encoding", "words"),
    [
        ("tracklet,other,same\nb,c,yes\nd,é,no\n", "cp1252", "q.csv is not a CSV file in UTF-8"),
        ("tracklet,other,same\nb,c,yes\n", "utf-16", "q.csv is not a CSV file in UTF-8"),
        ("tracklet,other,Same\nb,c,yes\n", "utf-8", "q.csv lacks the column 'same'"),
        ("tracklet,other,same\nb,c,,yes\n", "utf-8", "q.csv, row 1: 'yes' is in a column without a name"),
    ],
)
def test_questions_are_not_written_over_a_file_that_cannot_be_read(
    two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, encoding: str, words: str
):
    out, questions = tmp_path / "p.csv", tmp_path / "q.csv"
    questions.write_text(text, encoding=encoding)
    assert main(["link", *two, "-o", str(out), "--threshold", "0.5", "--questions", str(questions)]) != 0
    assert words in capsys.readouterr().err
    assert questions.read_text(encoding=encoding) == text
    assert not out.exists()


def test_a_file_without_an_answer_is_told(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    questions = tmp_path / "q.csv"
    command = ["link", *two, "-o", str(tmp_path / "p.csv"), "--threshold", "0.5", "--confirm", str(questions)]
    for answer, told in (("", 1), ("no", 0)):  # saved under another name; and as it should be
        questions.write_text(f"tracklet,other,same\nb,c,{answer}\n")
        assert main(command) == 0
        assert capsys.readouterr().err.count("q.csv: write yes or no into the column same") == told


def test_times_of_two_clocks_are_told(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["link", *two, "-o", str(tmp_path / "p.csv"), "--threshold", "0.5"]
    assert main(command) == 0
    assert "clock" not in capsys.readouterr().err
    records = [{"id": "c", "start": 1.7e9}, {"id": "d", "start": 1.7e9}]
    save_features(two[1], Embeddings(torch.eye(3)[:2], [1, 2], [2, 2]), metadata={"model_id": "m"}, records=records)
    assert main(command) == 0
    error = capsys.readouterr().err
    assert "'c' at a date: times of all files must be on one clock" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("start", "camid", "video", "folder", "is_told"),
    [
        (3, 1, "gate.mp4", "b", True),  # --camid or --start was forgotten
        (3, 1, "door.mp4", "b", True),  # two videos of one name
        (3, 1, "door.mp4", "a", False),  # one video in two files
        (3, 2, "gate.mp4", "b", False),
        (9, 1, "gate.mp4", "b", False),  # recorders overlap a little
        (86400, 1, "door.mp4", "b", False),
    ],
)
def test_two_recordings_of_one_camera_at_once_are_told(
    start: int,
    camid: int,
    video: str,
    folder: str,
    is_told: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    files = []
    for name, camera, source, first in (("a", 1, "door.mp4", 0), (folder, camid, video, start)):
        path = tmp_path / f"{len(files)}.safetensors"
        thumbnail = str(tmp_path / name / "crops" / "7" / "1.jpg")
        record = {"id": f"c{camera}/{source}/7@{first}", "start": first, "end": first + 10, "thumbnail": thumbnail}
        embeddings = Embeddings(torch.eye(2)[len(files)][None], [-1], [camera])
        save_features(path, embeddings, metadata={"model_id": "m"}, records=[record])
        files.append(str(path))
    assert main(["link", *files, "-o", str(tmp_path / "p.csv"), "--threshold", "0.5"]) == 0
    told = "are of two recordings of camera 1 at the same time, so that their people are taken for different ones"
    error = capsys.readouterr().err
    assert (told in error) is is_told
    assert error.count("\n") == is_told


def test_missing_times_are_told(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    records = [{"id": "c", "start": 0.0}, {"id": "d"}]
    save_features(two[1], Embeddings(torch.eye(3)[:2], [1, 2], [2, 2]), metadata={"model_id": "m"}, records=records)
    assert main(["link", *two, "-o", str(tmp_path / "p.csv"), "--threshold", "0.5"]) == 0
    error = capsys.readouterr().err
    assert "tracklets without a time: 1 of 4, first 'd'; people whom one camera shows at once may be linked" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ([1], "b.safetensors, row 1: id is [1]; give each"),
        ("", "b.safetensors, row 1: id is ''; give each"),
        (None, ""),
    ],
)
def test_ids_that_are_no_text(
    two: list[str], tmp_path: Path, name: object, text: str, capsys: pytest.CaptureFixture[str]
):
    data = Embeddings(torch.eye(3)[:2], [1, 2], [2, 2])
    for path, records in ((two[0], [{"id": "a"}, {"id": "b"}]), (two[1], [{"id": "c"}, {"id": name, "start": None}])):
        save_features(path, data, metadata={"model_id": "m"}, records=records)
    out = tmp_path / "p.csv"
    for words in (["link", *two, "-o", str(out), "--threshold", "0.5"], ["features", "merge", *two, "-o", f"{out}.m"]):
        assert main(words) == (2 if text else 0)
        error = capsys.readouterr().err
        assert text in error
        assert len([line for line in error.splitlines() if "without a time" not in line]) == bool(text)
    assert text or list(persons(out)) == ["a", "b", "c", "b:1"]


def test_a_zero_vector_is_named_by_its_file(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_features(two[1], Embeddings(torch.tensor([[1.0, 0, 0], [0, 0, 0]]), [1, 2], [2, 2]))
    assert main(["link", *two, "-o", str(tmp_path / "p.csv"), "--threshold", "0.5"]) == 2
    assert "b.safetensors: row 1 holds NaN or infinity, or zeros alone" in capsys.readouterr().err

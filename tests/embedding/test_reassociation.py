"""Re-association on a video: each window has the vector that `Embedder` makes of its frames."""

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denseil import DenseIL, Embedder, TrackletEmbedder
from denseil.cli import main
from denseil.data import Tracks, crop_box, read_tracks
from denseil.embedding import evaluate_reassociation
from denseil.embedding.reassociation import _Plan, open_frames
from denseil.metrics import Sightings, reassociate

WIDTH, HEIGHT, FRAMES = 96, 48, 14


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tracks]:
    """A folder of frames of noise, and three tracks; one has a box outside of the picture, one is absent at times."""
    folder = tmp_path_factory.mktemp("street") / "img1"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(1, FRAMES + 1):
        Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(folder / f"{number:06}.png")
    lines = []
    for number in range(1, FRAMES + 1):
        lines.append(f"{number},1,{2 * number},4,12,30")
        if number not in (5, 6):
            lines.append(f"{number},2,{40 + number},2.5,10,28")
        lines.append(f"{number},3,{60 if number != 9 else 200},0,14,40")
    (folder.parent / "tracks.txt").write_text("\n".join(lines))
    return folder, read_tracks(folder.parent / "tracks.txt")


def expected(
    model: DenseIL, street: tuple[Path, Tracks], window: int, *, query: bool, at: Collection[int] = range(1, FRAMES + 1)
) -> Sightings:
    """Windows of the boxes in some frames, embedded by `Embedder` from the images."""
    folder, tracks = street
    crops: dict[int, dict[int, np.ndarray]] = {}
    for frame, track, box in zip(tracks.frames.tolist(), tracks.ids.tolist(), tracks.boxes.tolist(), strict=True):
        crop = crop_box(np.asarray(Image.open(folder / f"{frame:06}.png")), *box)
        if crop.size:
            crops.setdefault(track, {})[frame] = crop
    embedder, rows, vectors = Embedder(model, device="cpu"), [], []
    for track, own in crops.items():
        for frame in set(own) & set(at):
            span = range(frame - window + 1, frame + 1) if query else range(frame, frame + window)
            rows.append((frame, track))
            vectors.append(embedder([own[number] for number in span if number in own]))
    numbers = np.array(rows)
    return Sightings(torch.stack(vectors).numpy(), numbers[:, 0], numbers[:, 1])


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 3])
def test_windows_are_those_of_the_boxes(model: DenseIL, street: tuple[Path, Tracks], window: int):
    folder, tracks = street
    found = evaluate_reassociation(
        TrackletEmbedder(model, device="cpu"), folder, tracks, gaps=(1, 4), stride=2, windows=(window, 5)
    )
    query, gallery = (expected(model, street, window, query=which) for which in (True, False))
    for gap, result in zip((1, 4), found[::2], strict=True):
        wanted = reassociate(query, gallery, gap=gap, stride=2, window=window)
        assert str(result) == str(wanted)
        assert result.skipped == wanted.skipped
        assert sum(result.skipped.values()) > 0


def test_an_unreadable_image_is_left_out_and_an_early_end_is_told(
    model: DenseIL, street: tuple[Path, Tracks], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder, tracks = street
    shutil.copytree(folder, tmp_path / "img1")
    (tmp_path / "img1" / "000004.png").write_bytes(b"half of a picture")
    for number in (13, 14):
        (tmp_path / "img1" / f"{number:06}.png").unlink()
    embedder = TrackletEmbedder(model, device="cpu")
    result = evaluate_reassociation(embedder, tmp_path / "img1", tracks, gaps=(2,), stride=2, windows=(1,))[0]
    assert result.num_query > 0
    assert "000004.png" in caplog.text
    assert "ends at frame 12, its boxes at 14" in caplog.text


def test_vectors_of_windows_are_embedders(model: DenseIL, street: tuple[Path, Tracks]):
    folder, tracks = street
    plan = _Plan(TrackletEmbedder(model, device="cpu"), {4, 8}, {7, 11, 13}, [2, 3])
    for frame in open_frames(folder):
        plan.add(frame, tracks)
    plan.finish()
    for window in (2, 3):
        for query, got in ((True, plan.queries(window)), (False, plan.candidates(window))):
            at = {4, 8} if query else {7, 11, 13}
            wanted = expected(model, street, window, query=query, at=at)
            by_row = dict(zip(zip(*wanted[1:], strict=True), wanted.vectors, strict=True))
            assert set(got.frames.tolist()) == at
            assert len(got.frames) == len(by_row)
            for vector, *row in zip(*got, strict=True):
                np.testing.assert_allclose(vector, by_row[tuple(row)], atol=1e-5)


def test_boxes_of_missing_frames_are_counted(
    model: DenseIL, street: tuple[Path, Tracks], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    import denseil

    folder, tracks = street
    denseil.save_pretrained(model, tmp_path / "model")
    shutil.copytree(folder, tmp_path / "img1")
    for number in (3, FRAMES):
        (tmp_path / "img1" / f"{number:06}.png").unlink()
    words = ["evaluate", str(tmp_path / "model"), "--mot", str(folder.parent / "tracks.txt")]
    words += ["--video", str(tmp_path / "img1"), "--gap", "1", "--stride", "2", "--window", "1", "--json"]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["missing_boxes"] == 6
    assert f"6 of {len(tracks)} boxes are left out: their frames are damaged or missing" in err


def test_on_the_command_line(
    model: DenseIL, street: tuple[Path, Tracks], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    import denseil

    folder, _ = street
    denseil.save_pretrained(model, tmp_path / "model")
    what = ["evaluate", f"local-dir:{tmp_path / 'model'}", "--mot", str(folder.parent / "tracks.txt")]
    how = ["--gap", "1,4", "--stride", "2", "--window", "1", "--device", "cpu"]
    assert main([*what, "--video", str(folder), *how, "--json", str(tmp_path / "out.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["gap", "frames", "R-1", "MRR", "chance", "queries", "candidates", "skipped"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "4"]
    assert [one["gap"] for one in json.loads((tmp_path / "out.json").read_text())] == [1, 4]
    assert main([*what, *how]) == 2
    assert "give MODEL --mot FILE --video FILE" in capsys.readouterr().err

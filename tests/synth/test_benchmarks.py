"""people-v1 is what it was when it was published; the sample comes with the package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from denseil.data import check_dataset, read_dataset
from denseil.synth import BENCHMARKS, People, benchmark, sample, verify
from denseil.synth import benchmarks as module


@pytest.mark.parametrize("name", ["people-v1", pytest.param("people-v2", marks=pytest.mark.slow)])
def test_a_benchmark_has_its_published_labels_and_frames(name: str):
    assert verify(name) <= module.TOLERANCE


def test_everyone_of_people_v2_is_in_a_wardrobe_group():
    people = People(BENCHMARKS["people-v2"])
    test = [identity for identity in people.identities if not identity.train]
    assert len(test) == 198
    assert {identity.detail for identity in people.identities} == {"wardrobe"}


def test_other_frames_and_other_labels_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    published = json.loads((module.ASSETS / "people-v1.json").read_text())
    name, file = next(iter(published["frames"].items()))
    with Image.open(module.ASSETS / file) as image:
        brighter = np.clip(np.asarray(image).astype(int) + 8, 0, 255).astype(np.uint8)
    Image.fromarray(brighter).save(tmp_path / file)
    (tmp_path / "people-v1.json").write_text(json.dumps({**published, "frames": {name: file}}))
    monkeypatch.setattr(module, "ASSETS", tmp_path)
    with pytest.raises(RuntimeError, match="sample frames"):
        verify("people-v1")
    (tmp_path / "people-v1.json").write_text(json.dumps({**published, "labels": "0" * 64}))
    with pytest.raises(RuntimeError, match="labels"):
        verify("people-v1")


def test_people_v1_is_as_documented():
    people = People(BENCHMARKS["people-v1"])
    test = [identity for identity in people.identities if not identity.train]
    assert people.recipe.num_cameras >= 3
    assert 195 <= len(test) <= 205
    assert 0.5 < sum(bool(identity.detail) for identity in test) / len(test) < 0.7


def test_no_such_benchmark(tmp_path: Path):
    with pytest.raises(KeyError, match="people-v1"):
        benchmark("people-v0", tmp_path)


def test_sample_is_small_and_whole():
    assert sum(path.stat().st_size for path in module.ASSETS.rglob("*") if path.is_file()) < 8e6
    assert sum(path.stat().st_size for path in sample().rglob("*") if path.is_file()) < 5e6
    report = check_dataset("mars", sample(), counts="none")
    assert report.ok, str(report)
    dataset = read_dataset("mars", sample())
    assert len(dataset.query) >= 16
    assert len({tracklet.camid for tracklet in dataset.gallery}) == 3


def test_sample_needs_nothing_of_the_extra():
    code = """
import sys
sys.modules["numba"] = None
from denseil import synth
assert synth.sample().is_dir()
try:
    synth.synthesize
except ModuleNotFoundError as error:
    assert "denseil[synth]" in str(error)
else:
    raise SystemExit("imported")
"""
    subprocess.run([sys.executable, "-c", code], check=True)

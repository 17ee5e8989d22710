"""The example of a service, through real requests."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

import denseil
from tests.data.test_mars import TINY

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

ROOT = Path(__file__).parent.parent
SERVICE = ROOT / "examples" / "service"
sys.path.insert(0, str(SERVICE))
import app as service  # noqa: E402
from guard import Limits  # noqa: E402

TOKEN = {"Authorization": "Bearer secret"}
PERSONS = sorted(folder for folder in (TINY / "bbox_test").iterdir() if folder.is_dir())
LIMITS = Limits(request_bytes=200_000, frames=20, pixels=100_000)


@pytest.fixture(scope="module")
def embedder() -> denseil.Embedder:
    torch.manual_seed(0)
    return denseil.Embedder(denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=0), device="cpu")


@pytest.fixture
def client(embedder: denseil.Embedder, tmp_path: Path) -> Iterator[TestClient]:
    with denseil.gallery.open(str(tmp_path / "people"), dim=embedder.num_features) as gallery:
        app = service.create_app(embedder, gallery, "secret", limits=LIMITS)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client


@pytest.mark.parametrize("root", ["/api", "/v1"])
def test_a_prefix_opens_no_door(embedder: denseil.Embedder, root: str):
    gallery = denseil.gallery.open("memory://", dim=embedder.num_features)
    app = service.create_app(embedder, gallery, "secret", limits=LIMITS)
    with TestClient(app, raise_server_exceptions=False, root_path=root) as client:
        for path in ("/v1/embed", f"{root}/v1/embed"):
            assert client.post(path, files=crops(PERSONS[1])).status_code == 401
        assert client.get(f"{root}/healthz").status_code == 200


def crops(folder: Path, count: int = 4) -> list[Any]:
    paths = sorted(folder.glob("*.jpg"))[:count]
    return [("crops", (path.name, path.read_bytes(), "image/jpeg")) for path in paths]


def png(width: int, height: int) -> list[Any]:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return [("crops", ("crop.png", file.getvalue(), "image/png"))]


def test_what_is_added_is_found_and_forgotten(client: TestClient, embedder: denseil.Embedder):
    for number, folder in enumerate(PERSONS):
        data = {"id": f"c1/{folder.name}", "camid": 1, "start": 5.0, "pid": number}
        answer = client.post("/v1/tracklets", files=crops(folder), data=data, headers=TOKEN)
        assert (answer.status_code, answer.json()) == (201, {"id": f"c1/{folder.name}", "new": True})
    vector = client.post("/v1/embed", files=crops(PERSONS[1]), headers=TOKEN).json()["vector"]
    expected = embedder(sorted(PERSONS[1].glob("*.jpg"))[:4])
    torch.testing.assert_close(torch.tensor(vector), expected, rtol=0, atol=1e-6)
    hits = client.post("/v1/search", files=crops(PERSONS[1]), data={"k": 2}, headers=TOKEN).json()
    assert hits[0]["id"] == f"c1/{PERSONS[1].name}"
    assert hits[0]["distance"] == pytest.approx(0, abs=1e-5)
    assert len(hits) == 2
    found = client.post("/v1/search", files=crops(PERSONS[1]), data={"camids": [2, 3]}, headers=TOKEN).json()
    assert found == []
    assert client.delete(f"/v1/tracklets/c1/{PERSONS[1].name}", headers=TOKEN).json() == {"forgotten": 1}
    assert client.delete("/v1/persons/0", headers=TOKEN).json() == {"forgotten": 1}
    assert client.delete("/v1/persons/0", headers=TOKEN).status_code == 404
    assert client.get("/healthz").json() == {"tracklets": len(PERSONS) - 2}


def test_a_person_whose_removal_was_cut_short_leaves_the_files_at_the_next_try(
    client: TestClient, embedder: denseil.Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for number, folder in enumerate(PERSONS):
        data = {"id": folder.name, "camid": 1, "pid": number}
        assert client.post("/v1/tracklets", files=crops(folder), data=data, headers=TOKEN).status_code == 201
    vector = embedder(sorted(PERSONS[0].glob("*.jpg"))[:4]).numpy()
    pieces = [vector[place : place + 2].tobytes() for place in range(8)]

    def left() -> bool:
        found = [path.read_bytes() for path in (tmp_path / "people").rglob("*") if path.is_file()]
        return any(piece in content for piece in pieces for content in found)

    assert left()
    with monkeypatch.context() as full:
        full.setattr("denseil.gallery.lance.LanceGallery.optimize", lambda _: 1 / 0)  # such as a full disk
        assert client.delete("/v1/persons/0", headers=TOKEN).status_code == 500
    assert left()
    assert client.delete("/v1/persons/0", headers=TOKEN).status_code == 404
    assert not left()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}])
def test_nobody_without_the_token(client: TestClient, headers: dict[str, str]):
    for method, path in (
        ("POST", "/v1/embed"),
        ("POST", "/v1/search"),
        ("POST", "/v1/tracklets"),
        ("DELETE", "/v1/persons/0"),
    ):
        assert client.request(method, path, headers=headers).status_code in (401, 403), path


@pytest.mark.parametrize(
    ("files", "status", "says"),
    [
        ([("crops", ("a.jpg", b"", "image/jpeg"))], 422, "crop 0 is no readable JPEG or PNG"),
        ([("crops", ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", "image/jpeg"))], 422, "crop 0 is no readable"),
        (png(1000, 1000), 413, "crop 0 is 1000 x 1000"),
        (png(8, 8) * 21, 413, "21 crops: send at most 20"),
        ([("crops", ("a.jpg", b"\xff\xd8" + b"x" * 300_000, "image/jpeg"))], 413, "longer than 200,000 bytes"),
        ([], 422, "Field required"),
    ],
)
def test_bad_uploads_are_refused(client: TestClient, files: list[Any], status: int, says: str):
    answer = client.post("/v1/embed", files=files, headers=TOKEN)
    assert answer.status_code == status, answer.text
    assert says in answer.text


@pytest.mark.parametrize(
    "data",
    [
        {"id": "", "camid": 1},
        {"id": "a", "camid": "x"},
        {"id": "a", "camid": 1, "pid": -1},
        {"id": "a", "camid": 1, "start": "nan"},
    ],
)
def test_bad_records_are_refused_and_nothing_is_kept(client: TestClient, data: dict[str, Any]):
    answer = client.post("/v1/tracklets", files=crops(PERSONS[0], 1), data=data, headers=TOKEN)
    assert answer.status_code == 422, answer.text
    assert client.get("/healthz").json() == {"tracklets": 0}


def test_requests_that_come_together_share_a_batch_and_each_gets_its_own(
    client: TestClient, embedder: denseil.Embedder
):
    folders = [PERSONS[number % len(PERSONS)] for number in range(24)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda folder: client.post("/v1/embed", files=crops(folder), headers=TOKEN), folders))
    expected = {folder: embedder(sorted(folder.glob("*.jpg"))[:4]) for folder in PERSONS}
    for folder, answer in zip(folders, answers, strict=True):
        torch.testing.assert_close(torch.tensor(answer.json()["vector"]), expected[folder], rtol=0, atol=1e-5)
    text = client.get("/metrics").text
    assert 'denseil_requests_total{path="/v1/embed",status="200"} 24.0' in text
    assert "denseil_waiting 0.0" in text


def test_a_full_queue_says_so(embedder: denseil.Embedder, tmp_path: Path):
    gallery = denseil.gallery.open(str(tmp_path / "people"), dim=embedder.num_features)
    with (
        TestClient(service.create_app(embedder, gallery, "secret", waiting=1)) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        answers = list(
            pool.map(lambda _: client.post("/v1/embed", files=crops(PERSONS[0]), headers=TOKEN).status_code, range(48))
        )
    assert set(answers) == {200, 503}


def test_a_gallery_of_another_model_is_refused(
    embedder: denseil.Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=0)
    folders = [denseil.save_pretrained(model, tmp_path / name) for model, name in ((embedder.model, "a"), (other, "b"))]
    monkeypatch.setenv("DENSEIL_TOKEN", "secret")
    monkeypatch.setenv("DENSEIL_GALLERY", str(tmp_path / "people"))
    for _ in range(2):  # a restart goes on
        monkeypatch.setenv("DENSEIL_MODEL", str(folders[0]))
        service.from_environment()
    monkeypatch.setenv("DENSEIL_MODEL", str(folders[1]))
    with pytest.raises(ValueError, match=r"was filled by the model .* their vectors cannot be compared"):
        service.from_environment()


def test_the_container_has_all_that_the_service_reads():
    """The files that the Dockerfile needs are in its context; names of environment variables are those of the app."""
    ignored = (SERVICE / "Dockerfile.dockerignore").read_text().split("*\n", 1)[1].split()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in sent)
    dockerfile = (SERVICE / "Dockerfile").read_text()
    (copied,) = re.findall(r"cp /src/(\S+)/\*\.py", dockerfile)
    assert copied in sent
    project = (ROOT / "pyproject.toml").read_text()
    packed = re.findall(r'"(README\.md|LICENSE|NOTICE)"', project)
    assert {"pyproject.toml", "denseil", *packed} <= sent
    compose = yaml.safe_load((SERVICE / "compose.yaml").read_text())["services"]["denseil"]
    assert (SERVICE / compose["build"]["context"]).resolve() == ROOT
    assert (ROOT / compose["build"]["dockerfile"]).is_file()
    read = set(re.findall(r'environ\.get\("(\w+)"', (SERVICE / "app.py").read_text()))
    set_here = {*compose["environment"], *re.findall(r"(DENSEIL_\w+)=", dockerfile)}
    assert set_here == read
    (volume,) = (entry.split(":")[1] for entry in compose["volumes"])
    assert compose["read_only"]
    for name in ("DENSEIL_GALLERY", "HF_HOME"):  # the only place that can be written
        assert f"{name}={volume}/" in dockerfile

"""The example of a service under uvicorn, on loopback: hostile requests over a socket, and the script that loads it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from PIL import Image

import denseil
from tests.data.test_mars import TINY

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples" / "service"))
import app as service  # noqa: E402

pytestmark = pytest.mark.slow
CROPS = sorted((TINY / "bbox_test").rglob("*.jpg"))
TOKEN = {"Authorization": "Bearer secret"}
MIB = 2**20


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with the limits that it has by default."""
    torch.manual_seed(0)
    embedder = denseil.Embedder(denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=0), device="cpu")
    gallery = denseil.gallery.open(str(tmp_path_factory.mktemp("gallery") / "people"), dim=embedder.num_features)
    config = uvicorn.Config(service.create_app(embedder, gallery, "secret"), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    until = time.monotonic() + 60
    while not server.started and time.monotonic() < until:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(60)


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers=TOKEN, timeout=60) as client:
        yield client
        assert client.get("/healthz").status_code == 200  # whatever it was sent, it goes on
        assert client.post("/v1/embed", files=[picture()]).status_code == 200


def picture(data: bytes | None = None) -> tuple[str, tuple[str, bytes, str]]:
    return "crops", ("crop.jpg", CROPS[0].read_bytes() if data is None else data, "image/jpeg")


def png(width: int, height: int, *, text: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    if not text:
        return file.getvalue()
    body = b"zTXt" + b"k\0\0" + zlib.compress(bytes(text))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return file.getvalue()[:33] + chunk + file.getvalue()[33:]


def header(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds nothing."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + end


@pytest.mark.parametrize(
    ("files", "statuses"),
    [
        pytest.param([picture(b"x" * 17 * MIB)], {413}, id="17 MiB"),
        pytest.param([picture(header(60_000, 60_000))], {413, 422}, id="3.6 Gpixel"),
        pytest.param([picture(png(2_000, 1_000))] * 200, {413}, id="400 Mpixel in a megabyte"),
        pytest.param([picture(png(8, 8, text=80 * MIB))], {422}, id="80 MiB of text in a PNG"),
        pytest.param([picture(b"<svg xmlns='http://www.w3.org/2000/svg'/>")], {422}, id="SVG"),
        pytest.param([picture(CROPS[0].read_bytes()[:200])], {422}, id="half a JPEG"),
        pytest.param([], {422}, id="0 pictures"),
        pytest.param([picture()] * 1_000, {413}, id="1,000 pictures"),
        pytest.param([picture()] * 1_001, {400}, id="1,001 pictures"),
    ],
)
def test_hostile_pictures(http: httpx.Client, files: list[Any], statuses: set[int]):
    assert http.post("/v1/embed", files=files).status_code in statuses


@pytest.mark.parametrize("token", ["secret", "wrong"])
def test_a_body_without_an_end_is_cut_off(http: httpx.Client, token: str):
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="crops"; filename="a.jpg"\r\n\r\n'
        while sent < 200 * MIB:
            sent += 65_536
            yield bytes(65_536)

    headers = {"Content-Type": "multipart/form-data; boundary=b", "Authorization": f"Bearer {token}"}
    with contextlib.suppress(httpx.TransportError):  # the connection may close before the answer is read
        assert http.post("/v1/embed", content=endless(), headers=headers).status_code in {401, 413}
    assert sent < 100 * MIB


@pytest.mark.parametrize("path", ["/v1/embed", "//v1/embed", "/x/../v1/embed", "/%76%31/embed"])
@pytest.mark.parametrize("token", [b"Bearer wrong", b"Bearer secret2", b"bearer secret", b"\xff\xfe"])
def test_no_path_goes_around_the_token(url: str, path: str, token: bytes):
    request = httpx.Request("POST", url, headers={"Authorization": token}, files=[picture()])
    request.url = httpx.URL(url).copy_with(raw_path=path.encode())
    with httpx.Client(timeout=60) as client:
        assert client.send(request).status_code in {401, 404}


@pytest.mark.parametrize(
    "id", ["../../etc/passwd", "a/../../b", "..%2f..%2fx", "' or true --", "a\u202eb", "\U0001f600", "x" * 300]
)
def test_an_id_is_a_name_and_no_path(http: httpx.Client, id: str):
    before = http.get("/healthz").json()["tracklets"]
    answer = http.post("/v1/tracklets", files=[picture()], data={"id": id, "camid": 1})
    assert answer.status_code in {201, 422}, answer.text
    kept = answer.status_code == 201
    assert http.get("/healthz").json()["tracklets"] == before + kept
    path = "/v1/tracklets/" + "".join(f"%{byte:02x}" for byte in id.encode())
    request = http.build_request("DELETE", "/v1")
    request.url = request.url.copy_with(raw_path=path.encode())
    assert http.send(request).status_code == (200 if kept else 404)
    assert http.get("/healthz").json()["tracklets"] == before


@pytest.mark.parametrize(
    "data",
    [
        {"id": "a\0b", "camid": 1},
        {"id": "a", "camid": 1, "start": "NaN"},
        {"id": "a", "camid": 1, "start": "inf"},
        {"id": "a", "camid": 1, "start": 5, "end": "-inf"},
        {"id": "a", "camid": 10**30},
        {"id": "a", "camid": 1, "pid": 10**30},
        {"id": "a"},
    ],
)
def test_hostile_records(http: httpx.Client, data: dict[str, Any]):
    answer = http.post("/v1/tracklets", files=[picture()], data=data)
    assert answer.status_code == 422, answer.text
    answer.json()


def test_json_is_no_form(http: httpx.Client):
    content = b'{"id": "a", "camid": NaN, "crops": []}'
    for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary=", "text/plain"):
        answer = http.post("/v1/tracklets", content=content, headers={"Content-Type": kind})
        assert answer.status_code in {400, 422}, (kind, answer.text)
        answer.json()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"camids": [987_654]}, 200),
        ({"camids": [10**30]}, 422),
        ({"k": 0}, 422),
        ({"k": 10**9}, 422),
    ],
)
def test_hostile_searches(http: httpx.Client, data: dict[str, Any], status: int):
    answer = http.post("/v1/search", files=[picture()], data=data)
    assert answer.status_code == status, answer.text
    assert status != 200 or answer.json() == []  # a camera that nobody knows


@pytest.mark.parametrize(
    "path", [f"/v1/persons/{10**30}", "/v1/persons/-1", "/v1/persons/1%20or%20true", "/v1/tracklets/"]
)
def test_hostile_deletions(http: httpx.Client, path: str):
    assert http.delete(path).status_code in {404, 422}


def test_forgotten_while_others_add_and_search(http: httpx.Client):
    """Nothing fails, and what was forgotten last is gone."""

    def work(number: int) -> set[int]:
        statuses = set()
        for step in range(4):
            record = {"id": f"t{number}/{step}", "camid": 1, "pid": 7}
            statuses.add(http.post("/v1/tracklets", files=[picture()], data=record).status_code)
            statuses.add(http.post("/v1/search", files=[picture()]).status_code)
            statuses.add(http.delete("/v1/persons/7").status_code)
        return statuses

    with ThreadPoolExecutor(4) as pool:
        statuses = set().union(*pool.map(work, range(4)))
    assert statuses <= {200, 201, 404}
    http.delete("/v1/persons/7")
    assert http.get("/healthz").json() == {"tracklets": 0}
    assert http.post("/v1/search", files=[picture()]).json() == []


def test_the_script_that_loads_it(url: str):
    script = ROOT / "examples" / "service" / "load.py"
    command = [sys.executable, script, url, "secret", CROPS[0].parent, "--clients", "2", "--requests", "6"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 requests in ")
    assert "requests/s" in done.stdout

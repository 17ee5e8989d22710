"""Galleries of every kind, and what fills them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from denseil import gallery
from denseil.gallery import Gallery, Record

DIM = 16
MODEL = "denseil é 1234"
HOSTILE = ["<script>alert(1)</script>", "a'b\"c\\d", "'; DROP TABLE records; --", "é 人 \U0001f6b6", "%s {0} \n\t", " "]


def unit(size: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(size, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def records(size: int) -> list[Record]:
    """Three cameras over four days; every seventh person unknown; hostile names in every field of text."""
    made = []
    for i in range(size):
        name = f"{HOSTILE[i % len(HOSTILE)]}{i}"
        pid = None if i % 7 == 0 else i % 5
        start = i * 4 * 86_400 / size
        made.append(Record(name, camid=i % 3, start=start, end=start + 60, track=f"t{name}", pid=pid, thumbnail=name))
    return made


@contextmanager
def run_milvus(folder: Path, *, killed: bool = False) -> Iterator[str]:
    """The address of a real Milvus server with its data in this folder, stopped after, or killed with signal 9."""
    import milvus

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = milvus.MilvusServer()
    server.set_base_dir(str(folder))
    server.config.set("proxy_port", port)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        if killed:
            server.server_proc.kill()
            server.server_proc.wait()
        server.stop()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real server for all tests."""
    pytest.importorskip("milvus", reason="no Milvus server: pip install milvus==2.3.5 (Linux, x86-64)")
    with run_milvus(tmp_path_factory.mktemp("milvus")) as address:
        yield address


KINDS = ["memory", "lance", "milvus-lite", pytest.param("milvus", marks=pytest.mark.slow)]


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address where there is no gallery yet, of the kind that the test asks for."""
    kind = request.param
    if kind == "memory":
        return "memory://"
    if kind == "lance":
        pytest.importorskip("lancedb")
        return str(tmp_path / "gallery")
    pytest.importorskip("pymilvus")
    if kind == "milvus-lite":
        pytest.importorskip("milvus_lite")
        pytest.importorskip("fcntl", reason="Milvus Lite locks its file with fcntl")
        return f"milvus://{tmp_path}/gallery.db"
    name = "t" + "".join(c for c in str(tmp_path) if c.isalnum())[-200:]
    return f"{request.getfixturevalue('milvus_server')}/{name}"


@pytest.fixture
def empty(address: str) -> Iterator[Gallery]:
    with gallery.open(address, DIM, MODEL) as opened:
        yield opened


def names(hits: list[gallery.Hit]) -> list[str]:
    return [hit.record.id for hit in hits]

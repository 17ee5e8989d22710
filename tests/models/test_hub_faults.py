"""The Hub on a bad day: slow, cut off, refusing, mute, or changing bytes; the real client against loopback."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import timm
import torch

import denseil
from denseil.models import DenseIL, _fetch
from tests.hub_server import Hub, serve

TINY = {"backbone": "test_resnet", "depth": 0, "last_stride": None}
STATUSES = ["401", "403", "404", "429", "500", "503"]
NEXT_COMMIT = "f" * 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    torch.manual_seed(0)
    folder = denseil.save_pretrained(denseil.create_model("denseil", **TINY), tmp_path_factory.mktemp("model"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve() as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(_fetch, "PATIENCE", 0.3)
        server.repos["me/small"] = dict(files)
        yield server


def load(cache: Path) -> DenseIL:
    return denseil.create_model("hf-hub:me/small", pretrained=True, cache_dir=cache).eval()


def downloads(hub: Hub) -> list[str]:
    return [request for request in hub.requests if request.startswith("GET") and "safetensors" in request]


def test_patience_is_time_without_a_byte(hub: Hub, tmp_path: Path):
    """The whole takes longer than the patience; each piece does not."""
    hub.fault, hub.pause = "slow", 0.05
    assert len(hub.repos["me/small"]["model.safetensors"]) > 4 * 65536
    started = time.monotonic()
    load(tmp_path)
    assert time.monotonic() - started > _fetch.PATIENCE
    assert len(downloads(hub)) == 1


def test_a_download_that_is_cut_goes_on_where_it_was(hub: Hub, tmp_path: Path):
    hub.fault = "cut"
    load(tmp_path)
    size = len(hub.repos["me/small"]["model.safetensors"])
    assert hub.sent == size  # no byte came twice
    assert len(downloads(hub)) == -(-size // 65536)


def test_what_has_come_is_kept_for_the_next_try(hub: Hub, tmp_path: Path):
    hub.fault = "stall"
    with pytest.raises(ConnectionError, match=r"cannot get model\.safetensors of me/small"):
        load(tmp_path)
    half = hub.sent
    assert half > 0
    hub.fault = ""
    load(tmp_path)
    assert hub.sent == len(hub.repos["me/small"]["model.safetensors"])
    assert downloads(hub)[-1].endswith(f"bytes={half}-")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("fault", ["drop", "stall", "norange", "mute", "429", "500", "503"])
def test_a_fault_of_the_weights_ends_soon_in_one_error(fault: str, hub: Hub, tmp_path: Path):
    hub.fault = fault
    started = time.monotonic()
    with pytest.raises(ConnectionError, match=r"cannot get model\.safetensors of me/small.*try again, or pass local"):
        load(tmp_path)
    assert time.monotonic() - started < 10  # retries and waits of the client would take a minute; no measurement
    assert len(hub.requests) < 12


@pytest.mark.parametrize("fault", ["401", "403", "404"])
def test_what_may_not_be_read_is_not_found(fault: str, hub: Hub, tmp_path: Path):
    hub.fault, hub.everywhere = fault, True
    with pytest.raises(FileNotFoundError, match=r"cannot find config\.json of me/small.*log in"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("fault", "everywhere"),
    [*((fault, True) for fault in ("mute", *STATUSES)), *((fault, False) for fault in ("drop", "flip", "503"))],
)
def test_a_cached_model_is_always_there(fault: str, everywhere: bool, hub: Hub, tmp_path: Path, caplog):
    expected = load(tmp_path)
    # A newer commit, so that the weights would have to be fetched again.
    hub.commit = NEXT_COMMIT
    hub.repos["me/small"]["model.safetensors"] += b"\0"
    hub.fault, hub.everywhere = fault, everywhere
    with caplog.at_level(logging.INFO, logger="denseil"):
        found = load(tmp_path)
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in expected.state_dict().items())
    assert len([r for r in caplog.records if "copy in the cache is used" in r.getMessage()]) == 1


def test_config_and_weights_are_of_one_commit(hub: Hub, files: dict[str, bytes], tmp_path: Path, monkeypatch):
    """The branch moves between the two: the weights are those of the config's commit."""
    fetch_file = _fetch.fetch_file

    def fetch_and_push(repo_id: str, filename: str, **arguments: object) -> Path:
        path = fetch_file(repo_id, filename, **arguments)
        if filename == "config.json":
            assert path.parent.name == hub.commit
        else:
            assert f"/resolve/{hub.commit}/model.safetensors" in hub.requests[-1]
        return path

    monkeypatch.setattr(_fetch, "fetch_file", fetch_and_push)
    assert load(tmp_path).pretrained_cfg["hf_hub_id"] == f"me/small@{hub.commit}"


def test_one_changed_byte_is_deleted_and_one_error(hub: Hub, tmp_path: Path):
    hub.fault = "flip"
    with pytest.raises(
        ConnectionError, match=r"model\.safetensors of me/small.*digest.*changed on its way, and deleted"
    ):
        load(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 10_000]
    hub.fault = ""
    load(tmp_path)


def test_git_digests_of_small_files_are_compared_too(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"hello\n")
    assert (
        _fetch._digest_like("0" * 40, tmp_path / "file") == "ce013625030ba8dba906f756967f9e9ca394464a"
    )  # git hash-object


def test_offline_mode_uses_the_cache_without_a_request(hub: Hub, tmp_path: Path, monkeypatch, caplog):
    load(tmp_path)
    hub.requests.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with caplog.at_level(logging.WARNING, logger="denseil"):
        load(tmp_path)
    assert hub.requests == []
    assert caplog.records == []


def test_a_config_alone_does_not_displace_a_whole_model(hub: Hub, tmp_path: Path):
    load(tmp_path)
    hub.commit = NEXT_COMMIT
    denseil.create_model("hf-hub:me/small", cache_dir=tmp_path)
    hub.fault, hub.everywhere = "503", True
    load(tmp_path)


def test_a_config_that_is_not_ours_costs_no_download(hub: Hub, tmp_path: Path):
    hub.repos["me/small"]["config.json"] = b'{"architecture": "resnet18", "num_classes": 10, "pretrained_cfg": {}}'
    with pytest.raises(KeyError, match="not a denseil model"):
        load(tmp_path)
    assert downloads(hub) == []


def test_timms_weights_of_a_backbone(hub: Hub, tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    torch.manual_seed(1)
    net = timm.create_model("test_resnet")
    repo = timm.get_pretrained_cfg("test_resnet").hf_hub_id
    hub.repos[repo] = {"model.safetensors": safetensors.torch.save(net.state_dict())}

    def create() -> DenseIL:
        return denseil.create_model("denseil", **TINY, pretrained_backbone=True)

    hub.fault = "mute"
    started = time.monotonic()
    with pytest.raises(ConnectionError, match=rf"cannot get model\.safetensors of {repo}"):
        create()
    assert time.monotonic() - started < 10  # 393 seconds without our own patience
    hub.fault = ""
    assert torch.equal(create().encoder.net.conv1[0].weight, net.conv1[0].weight)
    for hub.fault in ("mute", "503", "404"):
        assert torch.equal(create().encoder.net.conv1[0].weight, net.conv1[0].weight)
        assert "copy in the cache is used" in caplog.records[-1].getMessage()


def test_a_hub_that_names_a_path_as_digest_writes_nowhere(hub: Hub, tmp_path: Path, monkeypatch):
    original = _fetch.get_hf_file_metadata

    def hostile(url: str, timeout: float) -> object:
        found = original(url, timeout=timeout)
        return type(found)(found.commit_hash, "../../../escaped", found.location, found.size, None)

    monkeypatch.setattr(_fetch, "get_hf_file_metadata", hostile)
    with pytest.raises(ConnectionError, match="no commit or digest"):
        load(tmp_path / "a" / "b")
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if "escaped" in name]

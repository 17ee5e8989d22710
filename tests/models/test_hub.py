"""Publishing and fetching with the real huggingface_hub client against a Hub-shaped server on loopback."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from timm.models import PretrainedCfg

import denseil
from denseil.models import DenseIL, variants
from tests.hub_server import COMMIT, Hub, serve

TINY = {"backbone": "test_resnet", "depth": 0}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve() as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
        monkeypatch.setattr(
            huggingface_hub.constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            server.address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield server


@pytest.fixture
def model(hub: Hub) -> DenseIL:
    """A model that is published as me/small."""
    model = denseil.create_model("denseil", **TINY, num_classes=5).eval()
    denseil.push_to_hub(model, "me/small", card={"data": "None at all."}, token="hf_test")
    hub.requests.clear()
    return model


def embed(model: DenseIL) -> torch.Tensor:
    return model.eval()(torch.linspace(-1, 1, 2 * 3 * 64 * 32).view(1, 2, 3, 64, 32))


def test_published_is_safetensors_and_a_card(hub: Hub, model: DenseIL):
    files = hub.repos["me/small"]
    assert sorted(files) == ["README.md", "config.json", "model.safetensors"]
    card = files["README.md"].decode()
    assert "None at all." in card
    assert 'create_model("hf-hub:me/small"' in card
    assert "Out-of-scope use" in card


def test_good_repository(hub: Hub, model: DenseIL, tmp_path: Path):
    for create_model in (denseil.create_model, timm.create_model):
        loaded = create_model("hf-hub:me/small", pretrained=True, cache_dir=tmp_path)
        assert torch.equal(embed(loaded), embed(model))
        assert loaded.denseil_cfg == model.denseil_cfg
    revision = denseil.create_model(f"hf-hub:me/small@{COMMIT}", pretrained=True, cache_dir=tmp_path)
    assert torch.equal(embed(revision), embed(model))
    assert not any("pytorch_model" in request for request in hub.requests)


def test_from_the_cache_when_the_hub_is_gone(hub: Hub, model: DenseIL, tmp_path: Path, monkeypatch):
    denseil.create_model("hf-hub:me/small", pretrained=True, cache_dir=tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}"
    )
    loaded = denseil.create_model("hf-hub:me/small", pretrained=True, cache_dir=tmp_path)
    assert torch.equal(embed(loaded), embed(model))
    with pytest.raises(ConnectionError, match="local-dir:"):
        denseil.create_model("hf-hub:me/other", pretrained=True, cache_dir=tmp_path)


def test_a_tag_with_an_owner_loads_from_its_repository(hub: Hub, tmp_path: Path, monkeypatch):
    model = denseil.create_model("denseil_resnet50", **TINY)
    denseil.push_to_hub(model, "me/denseil_resnet50.mars", token="hf_test")
    # What registration at import does once the constant is set.
    monkeypatch.setattr(variants, "HUB_OWNER", "me")
    cfg = PretrainedCfg(**variants._cfg("denseil_resnet50.mars"), architecture="denseil_resnet50", tag="mars")
    monkeypatch.setitem(timm.models._registry._model_pretrained_cfgs, "denseil_resnet50.mars", cfg)
    for create_model in (denseil.create_model, timm.create_model):
        loaded = create_model("denseil_resnet50.mars", pretrained=True, cache_dir=tmp_path, **TINY)
        assert torch.equal(embed(loaded), embed(model))


def test_a_card_that_is_there_is_kept(hub: Hub, model: DenseIL):
    hub.repos["me/small"]["README.md"] = b"Written by hand."
    denseil.push_to_hub(model, "me/small", token="hf_test")
    assert hub.repos["me/small"]["README.md"] == b"Written by hand."
    denseil.push_to_hub(model, "me/small", card={}, token="hf_test")
    assert b"Model card" in hub.repos["me/small"]["README.md"]


def test_a_hub_that_cannot_be_reached_to_publish_is_one_line(model: DenseIL, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"^the Hub cannot be reached to write to me/small \(.*\): try again$"):
        denseil.push_to_hub(model, "me/small", token="hf_test")


def test_for_a_model_that_cannot_be_saved_no_repository_is_created(hub: Hub):
    model = denseil.create_model("denseil", **TINY)
    model.neck.bn.weight.data[0] = float("nan")
    with pytest.raises(ValueError, match=r"neck\.bn\.weight has values that are not finite"):
        denseil.push_to_hub(model, "me/broken", token="hf_test")
    assert "me/broken" not in hub.repos


@pytest.mark.parametrize("name", ["hf-hub:me/none", "hf-hub:me/small@nobranch", "hf-hub:me/empty"])
def test_what_does_not_exist(name: str, hub: Hub, model: DenseIL, tmp_path: Path):
    hub.repos["me/empty"] = {}
    with pytest.raises(FileNotFoundError, match=r"cannot find config\.json of me/"):
        denseil.create_model(name, pretrained=True, cache_dir=tmp_path)


def test_a_repository_without_safetensors_is_not_read_as_a_pickle(hub: Hub, model: DenseIL, tmp_path: Path):
    hub.repos["me/small"]["pytorch_model.bin"] = hub.repos["me/small"].pop("model.safetensors")
    for create_model in (denseil.create_model, timm.create_model):
        with pytest.raises(FileNotFoundError, match=r"cannot find model\.safetensors of me/small"):
            create_model("hf-hub:me/small", pretrained=True, cache_dir=tmp_path)
    assert not any("pytorch_model.bin" in request for request in hub.requests)


def test_a_truncated_file_is_one_clear_error(hub: Hub, model: DenseIL, tmp_path: Path):
    hub.repos["me/small"]["model.safetensors"] = hub.repos["me/small"]["model.safetensors"][:-100]
    with pytest.raises(ValueError, match=r"cannot read .*model\.safetensors: it is damaged"):
        denseil.create_model("hf-hub:me/small", pretrained=True, cache_dir=tmp_path)

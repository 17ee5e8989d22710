"""Publishing a folder: what keeps it back, and the round trip through a Hub on loopback."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

import denseil
from denseil.cli import main
from denseil.models import DenseIL, model_card, model_id, publish, publishing_gaps, sample_clip
from denseil.models._card import card_gaps
from denseil.models.variants import SHIPPED
from tests.hub_server import COMMIT, Hub, serve

TINY = {"backbone": "test_resnet", "depth": 0, "last_stride": None}
CARD = {"license": "mit", "data": "Rendered people.", "results": "mAP 70, standard, cosine, all frames."}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve() as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


@pytest.fixture(scope="module")
def model() -> DenseIL:
    return denseil.create_model("denseil", **TINY)


@pytest.fixture
def folder(model: DenseIL, tmp_path: Path) -> Path:
    return denseil.save_pretrained(model, tmp_path / "model", card=CARD)


def test_the_round_trip(hub: Hub, folder: Path, tmp_path: Path):
    (folder / "train.yaml").write_text("root: /home/someone\n")
    (folder / "NOTICE").write_text("Thanks.\n")
    address = publish(folder, "me/small", token="hf_test")
    assert address == f"{hub.address}/me/small/commit/{COMMIT}"
    files = hub.repos["me/small"]
    assert sorted(files) == ["NOTICE", "README.md", "config.json", "model.safetensors", "sample.json"]
    assert 'create_model("hf-hub:me/small", pretrained=True)' in files["README.md"].decode()
    assert "license: mit" in files["README.md"].decode()
    source = denseil.create_model(folder, pretrained=True)
    for name in ("hf-hub:me/small", f"hf-hub:me/small@{COMMIT}"):
        loaded = denseil.create_model(name, pretrained=True, cache_dir=tmp_path / "cache").eval()
        assert model_id(loaded) == model_id(source)
    hub.fault, hub.everywhere = "503", True
    hub.requests.clear()
    denseil.create_model(f"hf-hub:me/small@{COMMIT}", pretrained=True, cache_dir=tmp_path / "cache")
    assert hub.requests == []  # a pinned revision in the cache needs no Hub
    sample = json.loads(files["sample.json"])
    with torch.inference_mode():
        vector = loaded(sample_clip(loaded))[0]
    torch.testing.assert_close(vector[:16], torch.tensor(sample["first_values"]), atol=sample["tolerance"], rtol=0)


def test_the_packaged_weights_are_ready():
    for shipped in sorted(SHIPPED.iterdir()):
        assert publishing_gaps(shipped) == []


@pytest.mark.parametrize(
    ("card", "gaps"),
    [
        (None, ['license "other" without a license_name', "nothing said on data", "nothing said on results"]),
        ({**CARD, "license": "other"}, ['license "other" without a license_name']),
        ({**CARD, "license": "other", "license_name": "ours"}, []),
        ("no front matter", ["no license", "library_name", "no section on intended use", "no section on limits"]),
        ("---\nlicense: [\n---\n", ["its front matter cannot be read"]),
        ("", ["no license"]),
    ],
)
def test_gaps_of_a_card_are_all_named(card, gaps: list[str], model: DenseIL):
    found = card_gaps(card if isinstance(card, str) else model_card(model, fields=card))
    assert all(any(gap in line for line in found) for gap in gaps)
    assert bool(found) is bool(gaps)


def test_a_folder_with_gaps_is_not_published(hub: Hub, folder: Path):
    (folder / "README.md").write_text("no front matter")
    with pytest.raises(ValueError, match=r"is not ready to be published: README\.md: no license.*; README") as caught:
        publish(folder, "me/small", token="hf_test")
    assert "\n" not in str(caught.value)
    assert hub.requests == []


def test_the_verb_checks_and_publishes(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    assert main(["publish", str(folder), "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"gaps": []}
    assert main(["publish", str(folder)]) == 2
    assert "no repository is given" in capsys.readouterr().err
    assert hub.requests == []
    assert main(["publish", str(folder), "me/small"]) == 0
    assert capsys.readouterr().out == f"{hub.address}/me/small/commit/{COMMIT}\n"
    assert "model.safetensors" in hub.repos["me/small"]
    (folder / "README.md").unlink()
    assert main(["publish", str(folder), "--check"]) == 1
    assert "it has no README.md" in capsys.readouterr().out


def test_wrong_checksums_are_not_published(hub: Hub, folder: Path):
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{weights}  model.safetensors\n\n{weights.upper()} *model.safetensors\n")
    assert publishing_gaps(folder) == []
    (folder / "SHA256SUMS").write_text(f"{weights}  model.safetensors\n{weights}  config.json\n{weights}  train.yaml\n")
    with pytest.raises(ValueError, match=r"config\.json has another SHA-256 .*; SHA256SUMS names 'train\.yaml', which"):
        publish(folder, "me/small", token="hf_test")
    assert hub.requests == []


def test_pickles_and_a_missing_card_are_named(hub: Hub, folder: Path):
    (folder / "pytorch_model.bin").write_bytes(b"")
    (folder / "README.md").unlink()
    with pytest.raises(ValueError, match=r"pytorch_model\.bin may run code .*; it has no README\.md"):
        publish(folder, "me/small")


def test_damage_and_a_bad_name_are_found_first(hub: Hub, folder: Path):
    with pytest.raises(ValueError, match="me/small/three"):
        publish(folder, "me/small/three")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        publish(folder, "me/small")
    assert hub.requests == []


def test_no_right_to_write_is_one_line(hub: Hub, folder: Path):
    hub.read_only = True
    with pytest.raises(PermissionError, match="does not let this token write to me/small") as caught:
        publish(folder, "me/small", token="hf_test")
    assert "\n" not in str(caught.value)


def test_a_hub_that_is_away_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="the Hub cannot be reached to write to me/small") as caught:
        publish(folder, "me/small", token="hf_test")
    assert "\n" not in str(caught.value)


def test_a_field_cannot_write_front_matter(model: DenseIL):
    card = {**CARD, "license": 'mit\nlibrary_name: "other"', "data": "{{ 7 * 7 }} $name"}
    text = model_card(model, fields=card)
    assert huggingface_hub.ModelCard(text).data.library_name == "denseil"
    assert "{{ 7 * 7 }} $name" in text

"""Files made before parameters were renamed (commit 6022594): the same vectors, and the same digests of weights."""

import json

import pytest
import torch
from safetensors.torch import save_file

import denseil
from denseil.embedding.cache import weights_digest
from denseil.models import original_name, read_weights, renew_digests

# of the packaged weights, by commit 6022594: the digest, and the start of the embedding of `clip()`
SHIPPED = {
    "denseil_mobilenetv2.people_v1": (
        "29ec304b788553a80c12c8763d095825d0fceef2",
        [1.009504, -0.078609, -0.419321, -1.196028, 1.14818, -0.770157],
    ),
    "denseil_mobilenetv2_mean.people_v1": (
        "51147ad4405c8cc106850da258b714ac6bdacb20",
        [-0.622663, -0.465556, -0.81499, -0.322914, 0.799702, -0.464755],
    ),
}
TINY = {"backbone": "test_resnet", "dim": 32, "num_heads": 2, "ffn_dim": 32, "depth": 2, "num_classes": 3}


def clip() -> torch.Tensor:
    return torch.sin(torch.arange(2 * 3 * 128 * 64).double() * 0.013).view(1, 2, 3, 128, 64).float()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_packaged_weights_give_the_vectors_and_the_digest_that_they_gave(name: str):
    model = denseil.create_model(name, pretrained=True).eval()
    digest, start = SHIPPED[name]
    torch.testing.assert_close(model(clip())[0, :6], torch.tensor(start), atol=1e-6, rtol=1e-5)
    assert weights_digest(model) == digest


@pytest.mark.parametrize("form", ["safetensors", "pth", "module.", "folder"])
def test_earlier_names_are_read(form: str, tmp_path):
    model = denseil.create_model("denseil", **TINY).eval()
    earlier = {original_name(name): value.clone() for name, value in model.state_dict().items()}
    assert "head.decoder.blocks.0.self_attn.q_proj.weight" in earlier
    assert "head.query_proj.weight" in earlier
    assert not any(name.startswith("decoder.") for name in earlier)
    if form == "folder":
        denseil.save_pretrained(model, tmp_path)
        save_file(earlier, tmp_path / "model.safetensors")
        renew_digests(tmp_path)
        again = denseil.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=3)
    else:
        path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pth")
        if form == "safetensors":
            save_file(earlier, path)
        else:
            torch.save({"state_dict": {form.removesuffix("pth") + k: v for k, v in earlier.items()}}, path)
        again = denseil.create_model("denseil", **TINY, checkpoint_path=path)
    assert torch.equal(again.eval()(clip()), model(clip()))


def test_a_classifier_of_others_keeps_its_head(tmp_path):
    save_file({"stem.weight": torch.ones(1), "head.weight": torch.ones(1)}, tmp_path / "vit.safetensors")
    assert set(read_weights(tmp_path / "vit.safetensors")) == {"stem.weight", "head.weight"}


def test_what_is_saved_has_the_present_names(tmp_path):
    denseil.save_pretrained(denseil.create_model("denseil", **TINY), tmp_path)
    header = (tmp_path / "model.safetensors").read_bytes()
    names = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
    assert "decoder.interaction.blocks.0.ffn.0.weight" in names
    assert not any(name.startswith("head.") for name in names)

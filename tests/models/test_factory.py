"""Names, arguments and errors of create_model and its kin, and timm's door to the same models."""

import pytest
import timm
import torch

import denseil

TINY = {"backbone": "test_resnet", "dim": 64, "num_heads": 4, "ffn_dim": 64, "depth": 1}


def test_registered_names():
    names = denseil.list_models()
    assert {"denseil", "denseil_resnet50", "denseil_densenet121", "denseil_resnet50_d256"} <= set(names)
    assert set(names) <= set(timm.list_models("denseil*"))
    assert "resnet50" not in names
    assert denseil.list_models("*densenet*") == ["denseil_densenet121"]
    assert denseil.list_models("nothing*") == []


def test_the_same_model_through_timm():
    torch.manual_seed(0)
    ours = denseil.create_model("denseil_resnet50", **TINY).eval()
    torch.manual_seed(0)
    theirs = timm.create_model("denseil_resnet50", **TINY).eval()
    clips = torch.randn(1, 2, 3, 64, 32)
    assert torch.equal(ours(clips), theirs(clips))
    assert ours.pretrained_cfg == theirs.pretrained_cfg


def test_aliases_through_timm():
    assert "denseil_r50" in timm.list_models("denseil*")
    assert "denseil_r50" not in denseil.list_models()
    with torch.device("meta"):
        theirs, ours = (library.create_model("denseil_r50.mars", **TINY) for library in (timm, denseil))
    assert theirs.pretrained_cfg["architecture"] == ours.pretrained_cfg["architecture"] == "denseil_resnet50"
    assert theirs.pretrained_cfg["tag"] == "mars"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("denseil_r50", True),
        ("denseil_r50.mars", True),
        ("denseil_resnet50", True),
        ("resnet50", False),
        ("", False),
    ],
)
def test_is_model(name: str, known: bool):
    assert denseil.is_model(name) is known


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("denseil_resnet5", {}, KeyError, "did you mean 'denseil_resnet50'"),
        ("zzz", {}, KeyError, "known: denseil"),
        ("denseil_r50.duke", {}, KeyError, "has no tag 'duke'; its tags: mars"),
        ("denseil_r50", {"dims": 8}, TypeError, r"unknown argument 'dims' \(did you mean 'dim'\?\)"),
        ("denseil_r50", {"pretrained": True, "checkpoint_path": "x"}, ValueError, "choose one source"),
        ("denseil", {"backbone": "resnet5O"}, KeyError, "did you mean"),
        ("local-dir:/does/not/exist", {}, FileNotFoundError, "config.json does not exist"),
        (None, {}, TypeError, "give a model name"),
        ("denseil", {"num_classes": -1}, ValueError, "num_classes=-1: give 0"),
        ("denseil", {"num_classes": True}, TypeError, "num_classes=True is of type bool; it must be int"),
        ("denseil", {"num_classes": 10**12}, ValueError, "num_classes=1000000000000: give 0"),
        ("denseil", {"pretrained": "mars"}, TypeError, "pretrained='mars' is of type str; it must be bool"),
        ("denseil", {"checkpoint_path": 3}, TypeError, "checkpoint_path=3: give a path"),
        ("denseil", {"cache_dir": 3}, TypeError, "cache_dir=3: give a path"),
        ("denseil", {"backbone": "hf-hub:timm/resnet18"}, ValueError, "give the name of an architecture of timm"),
        ("denseil", {"backbone": "test_resnet", "num_heads": 5}, ValueError, "num_heads must divide dim"),
        ("denseil", {"backbone": "test_resnet", "fusion": "mean"}, ValueError, "choose one of 'attention'"),
        ("denseil", {"backbone": None}, TypeError, "backbone=None: give the name of a timm model"),
        ("denseil", {"backbone_args": 3}, TypeError, "backbone_args=3: give a dict"),
        ("denseil", {"levels": 4}, TypeError, "levels=4: give integers among"),
        ("denseil", {"levels": "24"}, TypeError, "levels='24': give integers among"),
        ("denseil", {"levels": (2.0,)}, TypeError, r"levels=\(2.0,\)"),
        ("denseil", {"levels": (0, 4)}, ValueError, r"levels=\(0, 4\): choose among"),
        ("denseil", {"dim": 0}, ValueError, "dim=0: give an integer from 1 to 65536"),
        ("denseil", {"dim": 64.0}, TypeError, "dim=64.0 is of type float; it must be int"),
        ("denseil", {"dim": 10**7}, ValueError, "dim=10000000: "),
        ("denseil", {"depth": -1}, ValueError, "depth=-1: give an integer from 0 to 1000"),
        ("denseil", {"depth": 10**7}, ValueError, "depth=10000000: "),
        ("denseil", {"depth": True}, TypeError, "depth=True is of type bool"),
        ("denseil", {"ffn_dim": -1}, ValueError, "ffn_dim=-1: "),
        ("denseil", {"num_heads": 0}, ValueError, "num_heads=0: "),
        ("denseil", {"num_parts": 0}, ValueError, "num_parts=0: "),
        ("denseil", {"num_parts": "4"}, TypeError, "num_parts='4' is of type str"),
        ("denseil", {"drop": float("nan")}, ValueError, "drop=nan: give a dropout probability"),
        ("denseil", {"drop": 1.0, "depth": 0}, ValueError, "drop=1.0: give a dropout probability"),
        ("denseil", {"attn_drop": -0.1}, ValueError, "attn_drop=-0.1: give a dropout probability"),
        (
            "denseil",
            {"backbone": "test_resnet", "num_classes": 2.5},
            TypeError,
            "num_classes=2.5 is of type float; it must be int",
        ),
        ("denseil", {"backbone": "test_resnet", "num_classes": -1}, ValueError, "num_classes=-1"),
    ],
)
def test_errors_name_the_fix(name: str, arguments: dict, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        denseil.create_model(name, **arguments)


@pytest.mark.parametrize("create", [denseil.create_model, timm.create_model])
@pytest.mark.parametrize("name", ["denseil_resnet50", "denseil_resnet50.mars", "denseil_densenet121"])
def test_unpublished_weights_are_one_sentence_before_anything_is_built(create, name: str, monkeypatch):
    def build(*_: object, **__: object) -> None:
        raise AssertionError("the model was built first")

    monkeypatch.setattr("denseil.models._builder.build_model_with_cfg", build)
    with pytest.raises(RuntimeError) as caught:
        create(name, pretrained=True)
    message = str(caught.value)
    assert "\n" not in message
    for way_out in ("no weights are published for", "checkpoint_path=", "train it", "pretrained_backbone=True"):
        assert way_out in message


def test_explicit_none_reaches_the_model():
    # timm.create_model drops arguments that are None.
    model = denseil.create_model("denseil_resnet50", **TINY, last_stride=None)
    assert model.feature_info[-1]["reduction"] == 32


@pytest.mark.parametrize("create", [denseil.create_model, timm.create_model])
def test_device_dtype_and_drop_rate_at_creation(create):
    model = create("denseil", **TINY, num_classes=3, device="meta", dtype=torch.bfloat16, drop_rate=0.3)
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("meta", torch.bfloat16)}
    assert model.decoder.interaction.blocks[0].drop.p == 0.3


def test_weights_are_read_to_the_device_and_dtype_asked_for(tmp_path):
    source = denseil.create_model("denseil", **TINY)
    denseil.save_pretrained(source, tmp_path)
    arguments = {"device": "cpu", "dtype": torch.float16}
    for model in (
        denseil.create_model(f"local-dir:{tmp_path}", True, **arguments),
        denseil.create_model("denseil", checkpoint_path=tmp_path / "model.safetensors", **TINY, **arguments),
        timm.create_model(f"local-dir:{tmp_path}", True, **arguments),
    ):
        assert {(p.device.type, p.dtype) for p in model.parameters()} == {("cpu", torch.float16)}
        assert torch.equal(model.decoder.query_proj.weight, source.decoder.query_proj.weight.half())
        denseil.save_pretrained(model, tmp_path / "again")  # what it was placed on is not saved


def test_defaults_of_the_names():
    with torch.device("meta"):
        r50, d121, light = (denseil.create_model(n) for n in ("denseil_r50", "denseil_d121", "denseil_resnet50_d256"))
    assert [m.num_features for m in (r50, d121, light)] == [2048, 1024, 256]
    for model in (r50, d121, light):
        assert len(model.decoder.interaction.blocks) == 4
        assert model.fused_levels == [2, 3, 4]
        assert model.feature_info[-1]["reduction"] == 16
    assert r50.encoder.channels == [512, 1024, 2048]
    assert d121.encoder.channels == [512, 1024, 1024]


def test_what_the_models_are_not_is_said():
    for arguments, message in (
        ({"features_only": True, "out_indices": (1, 2)}, "levels="),
        ({"in_chans": 1}, "in_chans must be 3"),
        ({"img_size": (128, 64)}, r"takes backbone_args=\{'img_size': \.\.\.\} in place of img_size"),
        ({"global_pool": "max"}, "takes num_parts= or depth=0 in place of global_pool"),
        ({"dtype": torch.int8}, r"dtype=torch\.int8: give one of torch\.float32"),
    ):
        with pytest.raises(ValueError, match=message):
            timm.create_model("denseil_resnet50", **arguments)


def test_features_only_is_the_encoder_with_the_whole_models_weights(tmp_path):
    whole = denseil.create_model("denseil_resnet50", **TINY, levels=(2, 4)).eval()
    denseil.save_pretrained(whole, tmp_path)
    frames = torch.randn(2, 3, 64, 32)
    for name, arguments in ((f"local-dir:{tmp_path}", {}), ("denseil_resnet50", TINY | {"levels": (2, 4)})):
        saved = not arguments
        features = timm.create_model(name, pretrained=saved, features_only=True, **arguments).eval()
        assert features.feature_info.channels() == whole.encoder.channels
        assert features.feature_info.reduction() == whole.feature_info.reduction()
        assert features.pretrained_cfg["mean"] == pytest.approx(whole.pretrained_cfg["mean"])
        same = [torch.equal(a, b) for a, b in zip(features(frames), whole.encoder(frames), strict=True)]
        assert same == [saved, saved]


@pytest.mark.parametrize("arguments", [{"depth": 0}, {"fusion": "none"}, {}])
def test_features_only_has_the_chosen_levels_alone(arguments, tmp_path):
    """A model without Dense Attention has one level itself, and every model has level 4."""
    whole = denseil.create_model("denseil_resnet50", **(TINY | arguments)).eval()
    folder = denseil.save_pretrained(whole, tmp_path)
    frames = torch.randn(2, 3, 64, 32)
    every = timm.create_model(f"local-dir:{folder}", pretrained=True, features_only=True, levels=(1, 2, 3, 4)).eval()
    two = timm.create_model(f"local-dir:{folder}", pretrained=True, features_only=True, levels=(2,)).eval()
    assert [len(every(frames)), two.levels] == [4, [2]]
    torch.testing.assert_close(every(frames)[-1], whole.encoder(frames)[-1])
    torch.testing.assert_close(two(frames)[0], every(frames)[1])


def test_attention_maps_label_their_keys():
    model = denseil.create_model("denseil", **TINY, levels=(2, 4)).eval()
    clips = torch.randn(2, 3, 3, 64, 32)
    (attention,) = model.attention_maps(clips)
    assert attention.weights.shape == (2, 4, 12, 36)
    torch.testing.assert_close(attention.weights.sum(-1), torch.ones(2, 4, 12))
    assert attention.level.tolist() == [2] * 12 + [4] * 12 + [0] * 12
    assert attention.frame.tolist() == 3 * ([0] * 4 + [1] * 4 + [2] * 4)
    assert attention.part.tolist() == 9 * [0, 1, 2, 3]


def test_labels_point_at_the_keys_they_name():
    model = denseil.create_model("denseil", **TINY).eval()
    clips = torch.randn(1, 3, 3, 64, 32)
    mask = torch.tensor([[True, False, True]])
    (attention,) = model.attention_maps(clips, mask)
    padded = attention.weights[..., attention.frame == 1]
    assert padded.abs().max() == 0
    assert attention.weights[..., attention.frame != 1].min() > 0
    tokens = model.encode_frames(clips[0])  # change level 3 of frame 2, part 1 and see whose key moves
    start = model.encoder.channels[0]
    changed = tokens.clone()
    changed[2, 1, start : start + model.encoder.channels[1]] += 5
    before, after = (model.decoder.attention_maps(values[None])[0] for values in (tokens, changed))
    ratio = after / before  # a softmax: the others keep their proportions
    moved = (ratio / ratio[..., :1] - 1).abs().amax((0, 1, 2)) > 1e-3
    assert moved.nonzero().flatten().tolist() == [
        k
        for k in range(len(attention.level))
        if (attention.level[k], attention.frame[k], attention.part[k]) == (3, 2, 1)
    ]


@pytest.mark.parametrize("arguments", [{"fusion": "sum"}, {"fusion": "none"}, {"depth": 0}])
def test_attention_maps_need_attention(arguments: dict):
    model = denseil.create_model("denseil", **(TINY | arguments)).eval()
    with pytest.raises(ValueError, match="no Dense Attention"):
        model.attention_maps(torch.randn(1, 2, 3, 64, 32))


@pytest.mark.parametrize(
    ("clips", "mask", "error", "message"),
    [
        (torch.zeros(2, 3, 64, 32), None, ValueError, r"must be \(B, T, 3, H, W\)"),
        (torch.zeros(1, 2, 4, 64, 32), None, ValueError, r"must be \(B, T, 3, H, W\)"),
        (torch.zeros(1, 2, 3, 64, 32, dtype=torch.uint8), None, TypeError, "convert them to float"),
        (torch.zeros(1, 2, 3, 64, 32), torch.zeros(1, 2, dtype=torch.bool), ValueError, r"rows \[0\] are all False"),
        (torch.zeros(1, 2, 3, 64, 32), torch.ones(1, 3, dtype=torch.bool), ValueError, "mask has shape"),
        (torch.zeros(1, 2, 3, 64, 32), torch.ones(1, 2), TypeError, "torch.bool"),
    ],
)
def test_bad_input(clips, mask, error: type[Exception], message: str):
    model = denseil.create_model("denseil", **TINY).eval()
    with pytest.raises(error, match=message):
        model(clips, mask)


def test_frame_order_matters_by_position_alone():
    clips = torch.randn(1, 5, 3, 64, 32)
    shuffled = clips[:, [4, 2, 0, 3, 1]]
    blind = denseil.create_model("denseil", **TINY, pos_kind="none").eval()
    torch.testing.assert_close(blind(clips), blind(shuffled), atol=1e-5, rtol=1e-5)
    sighted = denseil.create_model("denseil", **TINY).eval()
    assert (sighted(clips) - sighted(shuffled)).abs().max() > 1e-4


def test_baseline_is_the_encoders_mean_and_the_neck():
    model = denseil.create_model("denseil", backbone="test_resnet", depth=0).eval()
    net = timm.create_model("test_resnet", features_only=True, out_indices=(-1,)).eval()
    net.load_state_dict(model.encoder.net.state_dict())
    clips = torch.randn(2, 3, 3, 72, 40)
    mean = torch.stack([net(clip)[0].mean((0, 2, 3)) for clip in clips])
    torch.testing.assert_close(model(clips), model.neck.bn(mean))


def test_a_backbone_of_one_size_says_so_to_all_that_prepare_frames():
    args = {"backbone": "test_vit", "last_stride": None, "dim": 32, "num_heads": 4, "ffn_dim": 32, "depth": 1}
    model = denseil.create_model("denseil", backbone_args={"img_size": (64, 32)}, **args)
    assert model.pretrained_cfg["input_size"] == (3, 64, 32)
    assert denseil.Embedder(model)([torch.zeros(3, 70, 30, dtype=torch.uint8)]).shape == (32,)


def test_a_tag_is_part_of_a_models_name(tmp_path, monkeypatch):
    assert denseil.is_model("denseil_r50.mars")
    assert not denseil.is_model("denseil_mobilenetv2.v9")
    monkeypatch.chdir(tmp_path)
    model = denseil.create_model("denseil", **TINY)
    denseil.save_pretrained(model, "denseil_mobilenetv2.v9")  # a folder, whose name begins as a model's
    opened = denseil.create_model("denseil_mobilenetv2.v9", pretrained=True)
    assert torch.equal(opened.neck.bn.weight, model.neck.bn.weight)


def test_one_dropout_of_two_names_is_refused():
    with pytest.raises(ValueError, match="drop and drop_rate"):
        denseil.create_model("denseil", **TINY, drop=0.2, drop_rate=0.4)

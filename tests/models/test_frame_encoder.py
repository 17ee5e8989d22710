"""FrameEncoder on many timm families, and the last-stride edit against networks built without that stride."""

import pytest
import timm
import torch
from timm.models import group_parameters
from timm.optim import create_optimizer_v2
from torch import nn

import denseil
from denseil.models import FrameEncoder

SMALL = (64, 32)
# One small model a family, with what it needs to be built for 64 x 32 frames.
FAMILIES = {
    "ResNet": ("resnet18", {}),
    "ResNet-D": ("resnet18d", {}),
    "ResNet, anti-aliased": ("resnetblur50", {}),
    "SE-ResNet": ("seresnet18", {}),
    "ResNet v2": ("resnetv2_50", {}),
    "Res2Net": ("res2net50_26w_4s", {}),
    "DenseNet": ("densenet121", {}),
    "VGG": ("vgg11_bn", {}),
    "RegNet": ("regnetx_002", {}),
    "RepVGG": ("repvgg_a0", {}),
    "CSPNet": ("cspresnet50", {}),
    "DLA": ("dla34", {}),
    "HRNet": ("hrnet_w18_small", {}),
    "MobileNet v2": ("mobilenetv2_100", {}),
    "MobileNet v3": ("mobilenetv3_small_050", {}),
    "MobileNet v4": ("mobilenetv4_conv_small", {}),
    "MobileOne": ("mobileone_s0", {}),
    "EfficientNet": ("efficientnet_b0", {}),
    "EfficientNet-Lite": ("tf_efficientnet_lite0", {}),
    "GhostNet": ("ghostnet_050", {}),
    "FastViT": ("fastvit_t8", {}),
    "RepViT": ("repvit_m0_9", {}),
    "ConvNeXt": ("convnext_atto", {}),
    "ConvNeXt v2": ("convnextv2_atto", {}),
    "InceptionNeXt": ("inception_next_atto", {}),
    "EdgeNeXt": ("edgenext_xx_small", {}),
    "PoolFormer": ("poolformer_s12", {}),
    "Swin": ("swin_tiny_patch4_window7_224", {"img_size": SMALL, "window_size": 2}),
    "PVT v2": ("pvt_v2_b0", {}),
    "MaxViT": ("maxvit_rmlp_pico_rw_256", {"img_size": SMALL}),
    "LeViT": ("levit_128s", {"img_size": SMALL}),
    "ViT": ("vit_tiny_patch16_224", {"img_size": SMALL}),
    "CLIP ViT": ("vit_base_patch32_clip_224", {"img_size": SMALL}),
    "DINOv2 ViT": ("vit_small_patch14_dinov2", {"img_size": (56, 28)}),
    "DINOv3 ViT": ("vit_small_patch16_dinov3", {"img_size": SMALL}),
    "EVA-02": ("eva02_tiny_patch14_224", {"img_size": (56, 28)}),
    "Hiera": ("hiera_tiny_224", {"img_size": SMALL}),
}
DEFAULT = {"MobileNet v2", "ViT", "DenseNet"}
TAKES_THE_EDIT = {
    *("ResNet", "ResNet-D", "ResNet, anti-aliased", "SE-ResNet", "ResNet v2", "Res2Net", "DenseNet", "VGG", "RegNet"),
    *("RepVGG", "CSPNet", "DLA", "MobileNet v2", "MobileNet v3", "MobileNet v4", "MobileOne", "EfficientNet"),
    *("EfficientNet-Lite", "GhostNet", "FastViT", "RepViT", "ConvNeXt", "ConvNeXt v2", "InceptionNeXt", "EdgeNeXt"),
    *("PoolFormer", "PVT v2", "MaxViT"),
}
HAS_ONE_STRIDE = {"ViT", "CLIP ViT", "DINOv2 ViT", "DINOv3 ViT", "EVA-02"}  # nothing to remove: last_stride=1 is true


def families(names: set[str]) -> list[object]:
    return [pytest.param(n, id=n, marks=[] if n in DEFAULT else pytest.mark.slow) for n in FAMILIES if n in names]


@pytest.mark.parametrize("family", families(set(FAMILIES)))
def test_family_runs_forward_and_backward(family: str):
    name, arguments = FAMILIES[family]
    size = arguments.get("img_size", SMALL)
    levels = (2, 3, 4) if family == "LeViT" else (1, 2, 3, 4)  # LeViT has three
    encoder = FrameEncoder(name, levels=levels, backbone_args=arguments).train()
    maps = encoder(torch.randn(2, 3, *size))
    assert [level.shape[1] for level in maps] == encoder.channels
    for level, info in zip(maps, encoder.feature_info, strict=True):
        assert level.shape[-2:] == (-(-size[0] // info["reduction"]), -(-size[1] // info["reduction"]))
    sum(level.square().mean() for level in maps).backward()
    got = [p.grad is not None for p in encoder.parameters() if p.requires_grad]
    assert sum(got) >= 0.95 * len(got)  # a family may hold a few parameters past its last map


@pytest.mark.parametrize("family", families(TAKES_THE_EDIT))
def test_last_stride_edit_keeps_the_resolution_and_the_weights(family: str):
    name, arguments = FAMILIES[family]
    plain = FrameEncoder(name, levels=(3, 4), backbone_args=arguments).eval()
    edited = FrameEncoder(name, levels=(3, 4), last_stride=1, backbone_args=arguments).eval()
    edited.load_state_dict(plain.state_dict())  # strict: no key is new or gone
    frames = torch.randn(1, 3, *arguments.get("img_size", (128, 64)))
    (plain3, plain4), (edited3, edited4) = plain(frames), edited(frames)
    torch.testing.assert_close(plain3, edited3)
    assert edited4.shape[-2:] == plain3.shape[-2:] == tuple(2 * s for s in plain4.shape[-2:])
    assert edited.feature_info[-1]["reduction"] == 16
    assert all(m.dilation in (1, (1, 1)) for m in edited.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("family", families(set(FAMILIES) - TAKES_THE_EDIT - HAS_ONE_STRIDE))
def test_families_that_cannot_take_the_edit_say_so(family: str):
    name, arguments = FAMILIES[family]
    with pytest.raises(ValueError, match=rf"'{name}' cannot take last_stride=1: .*; use last_stride=None"):
        FrameEncoder(name, last_stride=1, levels=(3, 4), backbone_args=arguments)


def test_edited_resnet_equals_one_built_with_stride_1_in_its_last_stage():
    edited = FrameEncoder("resnet18", last_stride=1).eval()
    model = timm.create_model("resnet18").eval()  # by hand, as published re-ID code does
    model.layer4[0].conv1.stride = (1, 1)
    model.layer4[0].downsample[0].stride = (1, 1)
    edited.net.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("fc")})
    frames = torch.randn(2, 3, 64, 32)
    torch.testing.assert_close(edited(frames)[0], model.forward_features(frames))


def test_vit_levels_are_spread_over_the_depth():
    encoder = FrameEncoder("test_vit", levels=(1, 2, 3, 4), backbone_args={"img_size": SMALL}).eval()
    vit = timm.create_model("test_vit", img_size=SMALL).eval()
    depth = len(vit.blocks)
    vit.load_state_dict(encoder.net.model.state_dict(), strict=False)
    frames = torch.randn(1, 3, *SMALL)
    indices = [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
    expected = vit.forward_intermediates(frames, indices=indices, intermediates_only=True)
    for ours, theirs in zip(encoder(frames), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_network_of_ones_own():
    net = timm.create_model("test_convnext", features_only=True, out_indices=(1, 2, 3))
    encoder = FrameEncoder(net, levels=(2, 4), last_stride=1)
    maps = encoder(torch.randn(1, 3, 64, 32))
    assert [tuple(level.shape[1:]) for level in maps] == [(32, 8, 4), (64, 4, 2)]


def test_levels_of_a_network_of_ones_own_are_its_last_four_maps_whichever_are_chosen():
    net = timm.create_model("test_convnext", features_only=True, out_indices=(0, 1, 2, 3))
    every = FrameEncoder(net, levels=(1, 2, 3, 4))
    for levels in ((1, 4), (1, 3, 4), (2,)):
        chosen = FrameEncoder(net, levels=levels)
        assert chosen.channels == [every.channels[level - 1] for level in levels]
    with pytest.raises(ValueError, match="returns 3 feature maps, and level 1 is the last but 3"):
        FrameEncoder(timm.create_model("test_convnext", features_only=True, out_indices=(1, 2, 3)), levels=(1, 4))


def test_normalisation_is_the_backbones_own():
    assert FrameEncoder("test_resnet").mean == (0.5, 0.5, 0.5)
    assert FrameEncoder("resnet18").std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"backbone": "resnet5o"}, KeyError, "did you mean .*resnet50"),
        ({"levels": (0, 4)}, ValueError, r"levels=\(0, 4\)"),
        ({"levels": ()}, ValueError, r"levels=\(\)"),
        ({"last_stride": 2}, ValueError, "last_stride=2"),
        ({"backbone_args": {"out_indices": (1,)}}, ValueError, r"backbone_args may not hold \['out_indices'\]"),
        ({"backbone": "levit_128s", "levels": (1, 4)}, ValueError, "gives no feature maps for levels"),
        ({"backbone_args": {"no_such": 1}}, ValueError, "no_such"),
    ],
)
def test_bad_arguments(arguments: dict, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        FrameEncoder(**({"backbone": "resnet18"} | arguments))


def test_a_wrong_frame_size_names_the_fix():
    encoder = FrameEncoder("test_vit")
    with pytest.raises(ValueError, match=r"backbone_args=\{'img_size': \(256, 128\)\}"):
        encoder(torch.randn(1, 3, 256, 128))


def test_a_backbone_without_checkpointing_says_so():
    class Net(nn.Module):
        feature_info = timm.create_model("test_resnet", features_only=True, out_indices=(3, 4)).feature_info

    encoder = FrameEncoder(Net())
    with pytest.raises(ValueError, match="'Net' has no gradient checkpointing"):
        encoder.set_grad_checkpointing()
    encoder.set_grad_checkpointing(False)


@pytest.mark.parametrize(
    ("backbone", "deepest"),
    [
        ("test_resnet", 4),
        ("test_efficientnet", 5),
        ("test_vit", 6),  # within FeatureGetterNet
        ("test_convnext", 9),
        ("densenet121", 58),
        ("hrnet_w18_small", 4),  # a feature network that has the matcher itself
    ],
)
def test_the_backbones_own_matcher_reaches_inside_the_encoder(backbone: str, deepest: int):
    with torch.device("meta"):
        model = denseil.DenseIL(backbone, last_stride=None, dim=16, num_heads=2, ffn_dim=16, depth=1)
    layers = group_parameters(model, model.group_matcher(), reverse=True)
    of_encoder = {layers[name] for name in layers if name.startswith("encoder.")}
    assert of_encoder == set(range(deepest + 1))
    assert layers["decoder.query_proj.weight"] == deepest + 1
    coarse = group_parameters(model, model.group_matcher(coarse=True), reverse=True)
    assert max(coarse.values()) <= max(layers.values())


def test_a_network_of_ones_own_is_one_layer():
    model = denseil.DenseIL(timm.create_model("test_resnet", features_only=True), last_stride=None, dim=16, depth=1)
    layers = group_parameters(model, model.group_matcher(), reverse=True)
    assert {layers[name] for name in layers if name.startswith("encoder.")} == {0}


def test_weight_decay_leaves_out_what_the_backbone_leaves_out():
    model = denseil.DenseIL("test_vit", last_stride=None, dim=16, num_heads=2, ffn_dim=16, depth=1)
    assert {"encoder.net.model.pos_embed", "encoder.net.model.cls_token"} <= model.no_weight_decay()
    groups = create_optimizer_v2(model, "sgd", weight_decay=0.1).param_groups
    decayed = {id(parameter) for group in groups if group["weight_decay"] for parameter in group["params"]}
    assert id(model.encoder.net.model.pos_embed) not in decayed
    assert id(model.decoder.query_proj.weight) in decayed
    assert denseil.DenseIL("test_resnet", depth=0).no_weight_decay() == set()

"""Saving: what is written is a model that opens and gives the same vectors, or an error says why not."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

import denseil
from denseil.models import DenseIL, unwrap
from denseil.training import TrainConfig
from denseil.training.model import prepare_model

TINY = {"backbone": "test_resnet", "dim": 32, "num_heads": 4, "ffn_dim": 32, "depth": 1}
LIGHT = "denseil_mobilenetv2_mean"


@pytest.fixture
def model() -> DenseIL:
    torch.manual_seed(0)
    return denseil.create_model("denseil", **TINY, num_classes=5).eval()


def vectors(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(torch.linspace(-1, 1, 2 * 3 * 64 * 32).view(1, 2, 3, 64, 32))


def ddp(model: nn.Module) -> nn.Module:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        return nn.parallel.DistributedDataParallel(model)
    finally:
        torch.distributed.destroy_process_group()


WRAPPED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "compile": torch.compile,
    "DataParallel": nn.DataParallel,
    "DDP": ddp,
    "average": AveragedModel,
    "compiled average of DataParallel": lambda model: torch.compile(AveragedModel(nn.DataParallel(model))),
}


@pytest.mark.parametrize("wrap", WRAPPED)
def test_wrapped_models_are_saved_as_they_were(wrap: str, model: DenseIL, tmp_path: Path):
    expected = vectors(model)
    wrapped = WRAPPED[wrap](model)
    assert isinstance(unwrap(wrapped), DenseIL)
    denseil.save_pretrained(wrapped, tmp_path)
    assert torch.equal(vectors(denseil.create_model(tmp_path, pretrained=True)), expected)


def test_a_compiled_part_is_saved_as_it_was(model: DenseIL, tmp_path: Path):
    expected = vectors(model)
    model.encoder.net = torch.compile(model.encoder.net)
    model.compile()  # in place
    assert any("_orig_mod" in name for name in model.state_dict())
    denseil.save_pretrained(model, tmp_path)
    assert not any("_orig_mod" in name for name in load_file(tmp_path / "model.safetensors"))
    assert torch.equal(vectors(denseil.create_model(tmp_path, pretrained=True)), expected)


class LowRank(nn.Module):
    """As LoRA libraries replace a layer."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base
        self.lora_a, self.lora_b = nn.Linear(base.in_features, 2, bias=False), nn.Linear(2, base.out_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.lora_b(self.lora_a(x))


def weight_norm(model: DenseIL) -> None:
    parametrizations.weight_norm(model.decoder.query_proj)


def old_weight_norm(model: DenseIL) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(model.decoder.query_proj)


def pruned(model: DenseIL) -> None:
    prune.l1_unstructured(model.decoder.query_proj, "weight", amount=0.5)


def adapters(model: DenseIL) -> None:
    model.decoder.query_proj = LowRank(model.decoder.query_proj)


def another_activation(model: DenseIL) -> None:
    model.encoder.net.act1 = nn.GELU()


def another_width(model: DenseIL) -> None:
    model.decoder.query_proj = nn.Linear(model.decoder.query_proj.in_features, 16)


def not_finite(model: DenseIL) -> None:
    model.decoder.query_proj.weight.data[0, 0] = float("nan")


def another_eps(model: DenseIL) -> None:
    model.neck.bn.eps = 0.1


def another_stride(model: DenseIL) -> None:
    next(module for module in model.encoder.modules() if isinstance(module, nn.Conv2d)).stride = (3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (another_eps, r"neck\.bn is BatchNorm1d\(.*eps=0\.1, .*where create_model makes one with \(.*eps=1e-05"),
        (another_stride, r"encoder\.net\..* is Conv2d\(.*stride=\(3, 3\)"),
        (weight_norm, "decoder.query_proj is a ParametrizedLinear"),
        (old_weight_norm, r"missing there: decoder\.query_proj\.weight"),
        (pruned, r"missing there: decoder\.query_proj\.weight.*prune\.remove"),
        (adapters, "decoder.query_proj is a LowRank"),
        (another_activation, "encoder.net.act1 is a GELU, where create_model makes a ReLU"),
        (another_width, r"of another shape: decoder\.query_proj"),
        (not_finite, "decoder.query_proj.weight has values that are not finite"),
    ],
)
def test_changed_models_are_refused_and_write_nothing(change, message: str, model: DenseIL, tmp_path: Path):
    folder = denseil.save_pretrained(model, tmp_path / "model")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    change(model)
    with pytest.raises(ValueError, match=message) as caught:
        denseil.save_pretrained(model, folder)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_only_training_reads_may_be_changed(model: DenseIL, tmp_path: Path):
    model.neck.bn.momentum = 0.01
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
        if isinstance(module, nn.ReLU):
            module.inplace = not module.inplace
    denseil.save_pretrained(model, tmp_path / "model")


@pytest.mark.parametrize("undo", ["prune", "weight_norm"])
def test_a_change_that_was_made_permanent_is_saved(undo: str, model: DenseIL, tmp_path: Path):
    if undo == "prune":
        pruned(model)
        prune.remove(model.decoder.query_proj, "weight")
    else:
        weight_norm(model)
        nn.utils.parametrize.remove_parametrizations(model.decoder.query_proj, "weight")
    denseil.save_pretrained(model, tmp_path)
    assert torch.equal(vectors(denseil.create_model(tmp_path, pretrained=True)), vectors(model))


def test_synchronised_batch_norm_and_shared_memory_are_saved(model: DenseIL, tmp_path: Path):
    expected = vectors(model)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    base = torch.zeros(2, 32)
    model.decoder.query_proj.bias.data, model.neck.bn.bias.data = base[0], base[0]
    denseil.save_pretrained(model, tmp_path)
    found = denseil.create_model(tmp_path, pretrained=True)
    assert type(found.neck.bn) is nn.BatchNorm1d
    if not expected.isnan().any():
        assert found.decoder.query_proj.bias.abs().max() == 0


def test_a_batch_norm_that_lost_its_activation_is_refused(tmp_path: Path):
    """torch's conversion replaces timm's BatchNormAct2d by a norm alone; timm's own keeps the activation."""
    made = {"backbone": "test_efficientnet", "dim": 32, "num_heads": 4}
    with pytest.raises(ValueError, match="is a SyncBatchNorm, where create_model makes a BatchNormAct2d"):
        denseil.save_pretrained(
            nn.SyncBatchNorm.convert_sync_batchnorm(denseil.create_model("denseil", **made)), tmp_path
        )
    model = denseil.create_model("denseil", **made)
    prepare_model(model, TrainConfig(sync_bn=True, channels_last=False), torch.device("meta"))
    synchronised = [module for module in model.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert any(isinstance(getattr(module, "act", None), nn.SiLU) for module in synchronised)


def test_a_model_can_be_checked_without_being_saved(model: DenseIL):
    denseil.models.check_saving(model)
    prune.l1_unstructured(model.decoder.query_proj, "weight", 0.5)
    with pytest.raises(ValueError, match="Before saving, remove parametrisations"):
        denseil.models.check_saving(model)
    with pytest.raises(TypeError, match="has no num_features"):
        denseil.models.check_saving(nn.Linear(2, 2))


def test_sharded_models_and_adapters_of_peft_are_named(model: DenseIL, tmp_path: Path):
    class PeftModel(nn.Module):
        def merge_and_unload(self) -> None: ...

    class FSDPDenseIL(DenseIL): ...

    with pytest.raises(TypeError, match=r"adapters of PEFT \(PeftModel\): give model\.merge_and_unload\(\)"):
        denseil.save_pretrained(PeftModel(), tmp_path)
    with pytest.raises(TypeError, match="sharded"):
        denseil.save_pretrained(FSDPDenseIL(**TINY), tmp_path)
    with pytest.raises(ValueError, match=r"only a model made by denseil\.create_model"):
        denseil.save_pretrained(DenseIL(**TINY), tmp_path)
    with pytest.raises(ValueError, match=r"not this OptimizedDenseIL"):
        denseil.save_pretrained(denseil.optimize(model, "float32", verbose=False), tmp_path)


def test_a_network_of_ones_own_as_backbone_is_one_line(tmp_path: Path):
    net = denseil.create_model("denseil", **TINY).encoder.net
    made = denseil.create_model("denseil", **(TINY | {"backbone": net}))
    with pytest.raises(ValueError, match=r"arguments cannot be written to config\.json.*give names, numbers"):
        denseil.save_pretrained(made, tmp_path)


def test_packaged_weights_keep_their_card_until_they_are_changed(tmp_path: Path):
    model = denseil.create_model(LIGHT, pretrained=True)
    card = Path(model.pretrained_cfg["file"], "README.md").read_text(encoding="utf-8")
    denseil.save_pretrained(model, tmp_path / "same")
    assert (tmp_path / "same" / "README.md").read_text(encoding="utf-8") == card
    again = denseil.create_model(tmp_path / "same", pretrained=True)
    denseil.save_pretrained(again, tmp_path / "twice")
    assert (tmp_path / "twice" / "README.md").read_text(encoding="utf-8") == card
    with torch.no_grad():
        model.neck.bn.running_mean += 0.1
    denseil.save_pretrained(model, tmp_path / "tuned")
    assert "Not measured." in (tmp_path / "tuned" / "README.md").read_text(encoding="utf-8")


def test_the_notice_about_the_classifier_is_true_and_said_once(model: DenseIL, tmp_path: Path, caplog):
    folder = denseil.save_pretrained(model, tmp_path / "with")
    denseil.save_pretrained(denseil.create_model("denseil", **TINY), tmp_path / "without")
    for path, num_classes, notice in (
        (folder, 5, []),
        (folder, 7, ["has one of 5 identities, not 7"]),
        (tmp_path / "without", 7, ["has none"]),
        (tmp_path / "without", 0, []),
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            denseil.create_model(path, pretrained=True, num_classes=num_classes)
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) == len(notice)
        assert all(part in message for part, message in zip(notice, messages, strict=True))

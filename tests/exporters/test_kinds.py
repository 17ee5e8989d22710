"""What files of an export say of themselves, before anything is written."""

from dataclasses import replace

import denseil
from denseil.embedding.clip_encoder import ClipEncoder
from denseil.exporters.kinds import ClipExport, CropExport
from denseil.models import model_id
from tests.exporters.test_export import build


def test_identity_and_thresholds_are_those_of_the_vectors():
    model = build()
    model.denseil_cfg["thresholds"] = {"eer": {"threshold": 0.4}}
    own = model.preprocessing

    def identity(prepared: denseil.Preprocessing, crops: bool) -> tuple[str, bool]:
        encoder = ClipEncoder(model)
        kind = CropExport(encoder, denseil.single_frame(model, prepared, normalize=True)) if crops else None
        data = (kind or ClipExport(encoder, prepared, parts=False)).metadata()
        return data["model_id"], "thresholds" in data["denseil_cfg"]

    assert identity(own, False) == identity(replace(own, frames="even8"), False) == (model_id(model), True)
    single = model_id(model, replace(own, clip_len=1))
    assert identity(own, True) == identity(replace(own, clip_len=3), True) == (single, False)
    for change in ({"size": (64, 32)}, {"mean": (0.0, 0.0, 0.0)}):
        for crops in (False, True):
            found, thresholds = identity(replace(own, **change), crops)
            assert found not in (model_id(model), single)
            assert not thresholds


def test_thresholds_of_other_weights_are_not_exported():
    model = denseil.create_model("denseil_mobilenetv2_mean", pretrained=True).eval()
    assert "thresholds" in ClipExport(ClipEncoder(model), model.preprocessing, parts=False).metadata()["denseil_cfg"]
    model.neck.bn.running_mean += 0.1
    assert (
        "thresholds" not in ClipExport(ClipEncoder(model), model.preprocessing, parts=False).metadata()["denseil_cfg"]
    )

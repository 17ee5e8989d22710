"""A command that works for each verb that takes no minutes."""

from __future__ import annotations

import shutil
from pathlib import Path

from denseil.data import write_manifest
from tests.fuzz.targets import World


def commands(world: World) -> dict[str, list[str]]:
    """The words of each verb's command, after `denseil`."""
    folder, features, model = world.folder, str(world.features), str(world.saved)
    manifest = str(write_manifest(world.dataset, folder / "manifest.csv"))
    crops = folder / "crops" / "one"
    crops.mkdir(parents=True, exist_ok=True)
    for frame in world.frames:
        shutil.copy(frame, crops / Path(frame).name)
    lines = {
        "models": ["--filter", "denseil_mobilenetv2_mean"],
        "profile": ["denseil_mobilenetv2_mean", "--frames", "1"],
        "data check": ["manifest", manifest, "--no-images"],
        "data splits": ["ilids_vid", str(folder)],
        "train": ["manifest", manifest, "--recipe", "nobody"],
        "ablate": ["nobody", "--root", str(folder)],
        "evaluate": ["--features", features, features],
        "tracklets": [world.frames[0], manifest, str(folder / "cut")],
        "embed": [str(folder / "crops"), "--model", model, "-o", str(folder / "o.safetensors"), "--no-progress"],
        "calibrate": [features, model],
        "search": ["0", "--gallery", str(folder / "g")],
        "gallery add": [str(folder / "g"), features],
        "gallery search": ["0", "--gallery", str(folder / "g")],
        "gallery forget": [str(folder / "g"), "--id", "7"],
        "gallery expire": [str(folder / "g"), "0"],
        "gallery copy": [str(folder / "g"), str(folder / "h")],
        "gallery info": [str(folder / "g")],
        "export": ["nobody", str(folder / "m.onnx")],
        "version": ["--quiet"],
        "completion": ["bash"],
    }
    return {name: [*name.split(), *words] for name, words in lines.items()}

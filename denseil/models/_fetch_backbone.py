"""Verified downloads of timm's weights of a backbone, with short timeouts."""

from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import try_to_load_from_cache

from denseil.models._config import WEIGHTS_NAME
from denseil.models._fetch import fetch_file, note_commit, say_cached

_SAFE_NAMES = {  # among the files named by timm's cfgs
    None: WEIGHTS_NAME,
    "pytorch_model.bin": WEIGHTS_NAME,
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
}


def backbone_weights(name: str) -> dict[str, Any]:
    """Fetch timm's weights of a backbone, and return a cfg overlay that names the file.

    The overlay is empty for weights that are not safetensors on the Hub, which timm downloads itself.

    Raises:
        ConnectionError: If the Hub cannot be reached or refuses, and the weights are not in the cache.
    """
    cfg = timm.get_pretrained_cfg(name, allow_unregistered=True) if ":" not in name else None
    filename = cfg and (_SAFE_NAMES.get(cfg.hf_hub_filename) or cfg.hf_hub_filename)
    if not (cfg and cfg.hf_hub_id and filename and filename.endswith(".safetensors")) or str(cfg.custom_load) == "hf":
        return {}
    if isinstance(cfg.url, str) and Path(torch.hub.get_dir(), "checkpoints", Path(cfg.url).name).exists():
        return {}  # timm's cache of earlier versions
    repo_id, _, revision = cfg.hf_hub_id.partition("@")
    try:
        path = fetch_file(repo_id, filename, revision=revision)
        note_commit(path.parent, revision, complete=True)
        return {"file": str(path)}
    except (FileNotFoundError, ConnectionError) as error:
        cached = try_to_load_from_cache(repo_id, filename, revision=revision or None)
        if isinstance(cached, str):
            say_cached(error, Path(cached).parent.name)
            return {"file": cached}
        if isinstance(error, FileNotFoundError):
            return {}  # a repository with a pickle only
        raise

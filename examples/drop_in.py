"""DenseIL in other people's training loops: plain torch, without denseil's data and training code.

    python examples/drop_in.py tests/data/mars_tiny

Three ways, a few steps each, on the real tracklets of a folder in MARS layout:
1. the decoder on the feature maps of another library's encoder (torchvision's ResNet-18);
2. the whole model in the loop of published re-ID trainers: `logits, features = model(clips)`;
3. the same under pytorch-metric-learning, if it is installed.
The encoders start from random weights and there are two people, so the printed losses only show that gradients flow.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import Tensor, nn

import denseil
from denseil.layers import BNNeck, DenseInteractionHead


def read_clips(root: Path, frames: int = 3, size: tuple[int, int] = (96, 48)) -> tuple[Tensor, Tensor]:
    """Read the training tracklets of a folder in MARS layout: clips (N, T, 3, H, W) and identity labels (N,)."""
    tracklets = defaultdict(list)
    for path in sorted(root.glob("bbox_train/*/*.jpg")):
        tracklets[path.name[:11]].append(path)  # 0001C1T0001: person, camera, tracklet
    clips = []
    for paths in tracklets.values():
        chosen = [paths[i * len(paths) // frames] for i in range(frames)]
        images = [np.asarray(Image.open(p).convert("RGB").resize(size[::-1])) for p in chosen]
        clips.append(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255)
    pids = sorted({name[:4] for name in tracklets})
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    return (torch.stack(clips) - mean) / std, torch.tensor([pids.index(name[:4]) for name in tracklets])


def batch_hard_triplet(features: Tensor, labels: Tensor, margin: float = 0.3) -> Tensor:
    """Compute the batch-hard triplet loss that re-ID trainers use."""
    distance = torch.cdist(features, features)
    same = labels[:, None] == labels[None]
    farthest = distance.masked_fill(~same, -torch.inf).amax(1)
    nearest = distance.masked_fill(same, torch.inf).amin(1)
    return F.relu(farthest - nearest + margin).mean()


class ForeignModel(nn.Module):
    """An encoder of another library, with the Dense Interaction decoder and the neck on top."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        net = torchvision.models.resnet18()
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1)
        self.stages = nn.ModuleList([net.layer2, net.layer3, net.layer4])
        self.decoder = DenseInteractionHead([128, 256, 512], dim=128, depth=2, ffn_dim=256)
        self.neck = BNNeck(128, num_classes)

    def forward(self, clips: Tensor) -> denseil.models.ReIDOutput | Tensor:
        batch = clips.shape[0]
        x = self.stem(clips.flatten(0, 1))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x.unflatten(0, (batch, -1)))  # (B, T, C_l, H_l, W_l)
        return self.neck(self.decoder(maps))


def train(name: str, model: nn.Module, clips: Tensor, labels: Tensor, criterion: nn.Module | None, steps: int) -> None:
    """Train for a few steps as re-ID trainers do; `criterion` replaces the triplet loss."""
    metric_loss = criterion or batch_hard_triplet
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=2e-4)
    model.train()
    losses = []
    for _ in range(steps):
        logits, features = model(clips)
        loss = F.cross_entropy(logits, labels) + metric_loss(features, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.inference_mode():
        embeddings = model.eval()(clips)
    print(f"{name}: loss {losses[0]:.3f} -> {losses[-1]:.3f} in {steps} steps; eval gives {tuple(embeddings.shape)}")


def main(root: str, steps: int = 8) -> None:
    torch.manual_seed(0)
    clips, labels = read_clips(Path(root))
    classes = int(labels.max()) + 1
    print(f"{len(clips)} tracklets of {classes} people, {tuple(clips.shape[1:])} each")

    model = ForeignModel(classes)
    model.stem.requires_grad_(False)
    model.stages.requires_grad_(False)
    train("decoder on torchvision's ResNet-18", model, clips, labels, None, steps)

    def create() -> denseil.DenseIL:
        return denseil.create_model("denseil", backbone="resnet18", dim=128, ffn_dim=256, num_classes=classes)

    train("whole model, plain loop", create(), clips, labels, None, steps)
    try:
        from pytorch_metric_learning.losses import TripletMarginLoss
    except ImportError:
        print("pytorch-metric-learning is not installed: skipping the third way")
    else:
        train("whole model, pytorch-metric-learning", create(), clips, labels, TripletMarginLoss(), steps)


if __name__ == "__main__":
    main(*sys.argv[1:2])

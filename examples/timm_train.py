"""A denseil model in a loop of timm's own parts, as in timm's train.py, for people who train everything that way.

    python examples/timm_train.py tests/data/mars_tiny runs/timm --epochs 4 --backbone test_resnet

The optimizer with decayed rates per layer, the schedule by updates, the average of weights (EMA), clipping and
checkpoints are timm's; `--resume` goes on. Of denseil it takes the model, clips with P x K sampling, a triplet loss and
the evaluation. The defaults show the path on 8 tracklets of two people; figures from them say nothing.
"""

import argparse
from pathlib import Path

import timm
import torch
from timm.loss import LabelSmoothingCrossEntropy
from timm.models import load_checkpoint, model_parameters, resume_checkpoint
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, CheckpointSaver, ModelEmaV3, dispatch_clip_grad

import denseil
from denseil.data import ClipDataset, ClipTransform, PKSampler, clip_loader, label_map, normalize, read_dataset
from denseil.losses import BatchHardTriplet


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="a folder in the layout of MARS")
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="denseil")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 64))
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--ids", type=int, default=2, help="P, identities in a batch")
    parser.add_argument("--tracklets", type=int, default=2, help="K, tracklets of each")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--layer-decay", type=float, default=0.75)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", default="", help="a checkpoint of an earlier run")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> list[float]:
    """Return the mean loss of each epoch that was run."""
    args = parse(arguments)
    torch.manual_seed(0)
    dataset = read_dataset("mars", args.root)
    labels = label_map(dataset.train)
    model = timm.create_model(
        args.model, num_classes=len(labels), backbone=args.backbone, dim=128, num_heads=4, device=args.device
    )
    cfg = model.pretrained_cfg
    model.preprocessing = denseil.Preprocessing(tuple(args.size), cfg["mean"], cfg["std"], clip_len=args.frames)
    sampler = PKSampler(dataset.train, num_ids=args.ids, num_tracklets=args.tracklets, seed=0)
    transform = ClipTransform.training(model.preprocessing.size, mean=cfg["mean"])
    clips = ClipDataset(dataset.train, clip_len=args.frames, transform=transform, labels=labels)
    loader = clip_loader(clips, args.ids * args.tracklets, sampler=sampler, drop_last=True)

    optimizer = create_optimizer_v2(model, "adamw", lr=args.lr, weight_decay=0.05, layer_decay=args.layer_decay)
    scheduler, _ = create_scheduler_v2(
        optimizer, "cosine", num_epochs=args.epochs, warmup_epochs=1, warmup_lr=1e-5, updates_per_epoch=len(loader),
        step_on_epochs=False,
    )  # fmt: skip
    ema = ModelEmaV3(model, decay=0.9)
    start = 0
    if args.resume:
        start = resume_checkpoint(model, args.resume, optimizer) or 0
        scheduler.step_update(start * len(loader))
        load_checkpoint(ema.module, args.resume, use_ema=True)
    args.output.mkdir(parents=True, exist_ok=True)
    saver = CheckpointSaver(model, optimizer, model_ema=ema, checkpoint_dir=str(args.output), max_history=2)
    losses = []
    for epoch in range(start, args.epochs):
        sampler.set_epoch(epoch)
        clips.set_epoch(epoch)
        losses.append(train_one_epoch(epoch, model, loader, optimizer, scheduler, ema))
        result = denseil.evaluate(ema.module, dataset)
        print(
            f"epoch {epoch}: loss {losses[-1]:.3f}, rate {optimizer.param_groups[-1]['lr']:.1e}, mAP {result.mAP:.1%}"
        )
        saver.save_checkpoint(epoch, metric=result.mAP)
    denseil.save_pretrained(ema.module, args.output / "final")
    return losses


def train_one_epoch(epoch, model, loader, optimizer, scheduler, ema) -> float:
    model.train()
    cross_entropy, triplet, meter = LabelSmoothingCrossEntropy(0.1), BatchHardTriplet(0.3), AverageMeter()
    device = next(model.parameters()).device
    for step, batch in enumerate(loader, start=epoch * len(loader)):
        frames = normalize(batch.clips.to(device), *(model.pretrained_cfg[name] for name in ("mean", "std")))
        target = batch.labels.to(device)
        logits, features = model(frames)
        loss = cross_entropy(logits, target) + triplet(features, target)
        optimizer.zero_grad()
        loss.backward()
        dispatch_clip_grad(model_parameters(model), value=1.0, mode="norm")
        optimizer.step()
        ema.update(model, step=step)
        scheduler.step_update(num_updates=step + 1)
        meter.update(loss.item(), len(target))
    return meter.avg


if __name__ == "__main__":
    main()

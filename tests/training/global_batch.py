"""Steps on one global batch, alone or shared by processes; writes losses and weights. Started by test_train."""

import dataclasses
import sys

import torch
from safetensors.torch import save_file

from denseil.data import ClipBatch, ClipDataset
from denseil.training import TrainConfig
from denseil.training.setup import set_up
from denseil.training.train import training_step


def main(path: str, root: str) -> None:
    config = TrainConfig.from_recipe("smoke", dataset="manifest", root=root, device="cpu", num_ids=4, freeze_bn="all")
    config = dataclasses.replace(config, model_args={**config.model_args, "drop": 0.0})
    training = set_up(config)
    training.start_epoch(0)
    clips = ClipDataset(training.clips.tracklets, transform=config.transform(), labels=training.clips.labels)
    whole = clips.__getitems__([0, 0, 1, 1, 2, 2, 3, 3])
    rank, world = training.accelerator.process_index, training.accelerator.num_processes
    share = ClipBatch(*(value[rank * 8 // world : (rank + 1) * 8 // world] for value in whole))
    losses = [torch.stack(list(training_step(training, share).values())) for _ in range(3)]
    training.optimizer.zero_grad = lambda: None  # so that the last gradients are seen: Adam hides their scale
    losses = torch.stack([*losses, torch.stack(list(training_step(training, share).values()))])
    losses = training.accelerator.reduce(losses, "mean")
    if training.accelerator.is_main_process:
        weights = {name: value.contiguous() for name, value in training.model.state_dict().items()}
        named = training.model.named_parameters()
        gradients = {
            f"gradient of {name}": p.grad.clone(memory_format=torch.contiguous_format)
            for name, p in named
            if p.grad is not None
        }
        save_file({"losses": losses, **weights, **gradients}, path)
    training.accelerator.end_training()


if __name__ == "__main__":
    main(*sys.argv[1:])

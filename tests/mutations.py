"""Faults put into a temporary copy of the code, one at a time, and whether the tests named beside them fail.

    python -m tests.mutations [PART OF A NAME]

Prints "killed" or "survived" for each, and ends with status 1 if one survived.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LOOP, SETUP, MODEL, CONFIG, STATE, DEVICES, OPTIMIZER = (
    f"denseil/training/{name}.py" for name in ("train", "setup", "model", "config", "resume", "devices", "optimizer")
)
SCENE = "tests/synth/test_scene.py"
RESUME = "tests/training/test_resume.py"
FIELDS = "tests/training/test_fields.py::test_field"


class Mutation(NamedTuple):
    """A fault: text of a file that is replaced, and the tests that must fail with it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = [
    Mutation("the loop never sets lr", LOOP, "set_lr(training.optimizer, lr)", "pass", (f"{FIELDS}[rates]",)),
    Mutation(
        "lr by the step within the epoch",
        LOOP,
        "lr_at(config, progress.step,",
        "lr_at(config, index,",
        (f"{FIELDS}[rates]",),
    ),
    Mutation(
        "freeze_bn=encoder does nothing",
        SETUP,
        '"encoder": getattr(self.model, "encoder", None)',
        '"encoder": None',
        (f"{FIELDS}[frozen_statistics]",),
    ),
    Mutation(
        "clip_grad does nothing", LOOP, "config.clip_grad is not None and", "False and", (f"{FIELDS}[gradient_norm]",)
    ),
    Mutation(
        "grad_checkpointing does nothing",
        MODEL,
        "        switch()",
        "        pass",
        (f"{FIELDS}[forward_passes]",),
    ),
    Mutation(
        "normalises by ImageNet's constants",
        SETUP,
        "self.preprocessing.normalize(clips)",
        "Preprocessing().normalize(clips)",
        ("tests/training/test_own_parts.py::test_frames_are_normalised_in_the_models_own_colours",),
    ),
    Mutation(
        "precision ignored",
        DEVICES,
        '{"fp32": "no"}.get(config.precision, config.precision)',
        '"no"',
        (f"{FIELDS}[forward_passes]",),
    ),
    Mutation("best/ keeps the worst", LOOP, "result.mAP > best", "result.mAP < best", (f"{FIELDS}[evaluations]",)),
    Mutation(
        "erase colour not the model's",
        CONFIG,
        "round(255 * value) for value in mean",
        "round(255 * value) for value in (0.485, 0.456, 0.406)",
        (f"{FIELDS}[augmentation]",),
    ),
    Mutation(
        "layer_decay does nothing", OPTIMIZER, 'group.get("lr_scale", 1.0)', "1.0", (f"{FIELDS}[groups_by_layer]",)
    ),
    Mutation(
        "encoder_lr does nothing", OPTIMIZER, "(config.encoder_lr if inside else 1.0)", "1.0", (f"{FIELDS}[groups]",)
    ),
    Mutation(
        "objective is always reid",
        CONFIG,
        "            return create_objective(self.objective, **self.objective_args)",
        "            pass",
        (f"{FIELDS}[own_objective]",),
    ),
    Mutation("flip not passed on", CONFIG, "            flip=self.flip,\n", "", (f"{FIELDS}[augmentation]",)),
    Mutation("pad not passed on", CONFIG, "            pad=self.pad,\n", "", (f"{FIELDS}[augmentation]",)),
    Mutation(
        "contrastive_weight not passed on", CONFIG, '"contrastive_weight", "temp', '"temp', (f"{FIELDS}[losses]",)
    ),
    Mutation("temperature not passed on", CONFIG, '"temperature", "gather"),', '"gather"),', (f"{FIELDS}[losses]",)),
    Mutation(
        "a row of Table 1d has another level",
        "denseil/recipes/ablation_tables.yaml",
        "model: {levels: [3, 4]}",
        "model: {levels: [2, 4]}",
        ("tests/training/test_fields.py::test_rows_of_table_1d_are_the_levels_that_they_name",),
    ),
    Mutation(
        "the loader draws from torch's generator",
        SETUP,
        "generator=torch.Generator(),",
        "",
        (f"{RESUME}::test_workers_and_resuming_do_not_change_the_weights",),
    ),
    Mutation(
        "other data are resumed",
        STATE,
        "elif data != training.data:",
        "elif False:",
        ("tests/training/test_resume.py",),
    ),
    Mutation(
        "mean and std swapped at inference",
        "denseil/models/interface.py",
        "else pixels, self.mean, self.std)",
        "else pixels, self.std, self.mean)",
        ("tests/embedding/test_own_module.py",),
    ),
    Mutation(
        "after filters by start in memory",
        "denseil/gallery/where.py",
        "record.until >= self.after",
        "record.start >= self.after",
        ("tests/gallery/test_contract.py::test_search_is_that_of_plain_loops",),
    ),
    Mutation(
        "after filters by start in LanceDB",
        "denseil/gallery/where.py",
        "ends >= {self.after",
        "starts >= {self.after",
        ("tests/gallery/test_contract.py::test_search_is_that_of_plain_loops",),
    ),
    Mutation(
        "PK groups are the same identities in every epoch",
        "denseil/data/pk_sampler.py",
        "rng = np.random.default_rng((self.seed, self.epoch))\n        share",
        "rng = np.random.default_rng((self.seed, 0))\n        share",
        ("tests/data/test_pk_sampler.py",),
    ),
    Mutation(
        "levels of the attention shifted on the page",
        "denseil/viz/attention.py",
        'f"Z{level}" if level',
        'f"Z{level + 1}" if level',
        ("tests/viz/test_page.py::test_attention_sums_to_one_and_keeps_its_places",),
    ),
    Mutation(
        "frames of the attention shifted on the page",
        "denseil/viz/attention.py",
        "shares.index_put_((row, frame, part)",
        "shares.index_put_((row, (frame + 1) % num_frames, part)",
        ("tests/viz/test_page.py::test_attention_sums_to_one_and_keeps_its_places",),
    ),
    Mutation(
        "rendered: no shadow on people",
        "denseil/synth/render.py",
        "return lit_share(seen, depth)",
        "return np.ones(len(points), dtype=np.float32)",
        (f"{SCENE}::test_a_plate_in_the_sun_shades_what_lies_below_it",),
    ),
    Mutation(
        "rendered: no shadow on the ground",
        "denseil/synth/render.py",
        "return np.where(ground, shade, f32(1))",
        "return np.ones(ground.shape, dtype=np.float32)",
        (f"{SCENE}::test_a_shadow_on_the_ground_lies_away_from_the_sun",),
    ),
    Mutation(
        "rendered: nothing in front of people",
        "denseil/synth/passage.py",
        "render(shots, self.props,",
        "render(shots, [],",
        (f"{SCENE}::test_what_is_said_to_stand_in_front_of_a_person_does",),
    ),
    Mutation(
        "rendered: no sensor noise",
        "denseil/synth/sensor.py",
        "    if sensor.noise:",
        "    if False:",
        (f"{SCENE}::test_a_noisy_sensor_gives_noisy_pictures",),
    ),
    Mutation(
        "rendered: members of a group wear their own clothes",
        "denseil/synth/people.py",
        "return wear(",
        "return (lambda look, *_: look)(",
        ("tests/synth/test_people.py::test_members_of_a_wardrobe_group_wear_the_same_and_differ_in_the_rest",),
    ),
    Mutation(
        "groups not given to the sampler", SETUP, "groups=groups,", "groups=None,", (f"{FIELDS}[threes_of_a_group]",)
    ),
    Mutation(
        "a training keeps the thresholds of its initial weights",
        MODEL,
        'if name != "thresholds"',
        "if name",
        ("tests/models/test_shipped.py::test_a_training_that_starts_from_them_does_not_keep_their_thresholds",),
    ),
    Mutation(
        "thresholds of rendered people stay beside calibrated ones",
        "denseil/embedding/calibration.py",
        '{"source", "measured_on"}',
        '{"source"}',
        ("tests/embedding/test_calibration.py",),
    ),
]


def killed(mutation: Mutation, copy: Path) -> bool:
    """Apply a mutation to a copy of the repository, run its tests, and take it back."""
    path = copy / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise ValueError(
            f"{mutation.name}: {mutation.file} has {mutation.old!r} {text.count(mutation.old)} times, not once"
        )
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutation.tests]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    finally:
        path.write_text(text, encoding="utf-8")
    if done.returncode not in (0, 1):  # no such test, say
        raise RuntimeError(f"{mutation.name}: pytest could not run\n{done.stdout}{done.stderr}")
    return done.returncode == 1


def main(part: str = "") -> int:
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        ignored = shutil.ignore_patterns(".git", "__pycache__", "*.egg-info", ".*_cache", "runs")
        shutil.copytree(ROOT, copy, ignore=ignored, symlinks=True)
        for mutation in MUTATIONS:
            if part in mutation.name:
                dead = killed(mutation, copy)
                survived += not dead
                print(f"{'killed' if dead else 'SURVIVED'}: {mutation.name}", flush=True)
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))

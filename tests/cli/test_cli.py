"""The command line, called as a person would."""

import dataclasses
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import denseil
from denseil.cli import main, options
from denseil.cli.commands import all_verbs
from denseil.cli.output import say
from denseil.cli.parser import Verb
from denseil.cli.run import INTERRUPTED
from denseil.cli.train_fields import config_fields
from denseil.synth import synthesize, walks
from denseil.training import TrainConfig

VERBS = all_verbs().verbs
ROOT = Path(__file__).parent.parent.parent


def err(capsys: pytest.CaptureFixture[str], words: list[str], status: int = 2) -> str:
    """The one line that a refused command prints."""
    assert main(words) == status
    found = capsys.readouterr().err
    assert found.count("\n") == 1, found
    assert found.startswith("denseil: ")
    return found


# Help


def test_help_names_every_verb_and_group(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(verb.partition(" ")[0] in out for verb in VERBS)
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "--help"])
    out = capsys.readouterr().out
    assert all(verb.partition(" ")[2] in out for verb in VERBS if verb.startswith("gallery "))


@pytest.mark.parametrize("name", VERBS)
def test_help_of_a_verb_shows_its_words_subjects_and_examples(name: str, capsys: pytest.CaptureFixture[str]):
    verb = VERBS[name]
    with pytest.raises(SystemExit, match="0"):
        main([*name.split(), "--help"])
    out = capsys.readouterr().out
    assert len(verb.examples) >= 2
    assert all(example in out for example in verb.examples)
    assert "%%" not in out  # argparse fills in %(default)s; ours is escaped once
    for subject in verb.subjects:
        assert f"\n{subject.title}:\n" in out
        for action in subject.actions:
            assert action.help
            assert "_" not in "".join(action.option_strings)
            shown = action.option_strings or [str(action.metavar or action.dest)]
            assert all(word in out for word in shown), shown


@pytest.mark.parametrize("name", VERBS)
def test_examples_of_the_help_are_commands(name: str):
    import shlex

    from denseil.cli.parser import dashed

    for example in VERBS[name].examples:
        words = shlex.split(example.partition(" > ")[0])
        assert words[0] == "denseil"
        if words[1] != "--version":
            verb, rest = all_verbs().find(dashed(words[1:]))
            assert verb.name == name
            all_verbs().options(verb, rest)


@pytest.mark.parametrize("name", VERBS)
def test_each_option_is_a_parameter_of_the_verb(name: str):
    verb: Verb = VERBS[name]
    found = {action.dest for subject in verb.subjects for action in subject.actions} - {"quiet", "import"}
    parameters = inspect.signature(verb.run).parameters
    named = {each.name for each in parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD}
    if len(named) == len(parameters):
        assert found == named
    elif name == "data synth":  # takes what `synthesize` and `walks` do, too
        settings = {*inspect.signature(synthesize).parameters, *inspect.signature(walks).parameters}
        assert found | {"progress"} == named - {"settings"} | settings
    else:  # train and ablate take the fields of the config, too
        fields = {field.name for field in dataclasses.fields(TrainConfig)}
        assert found - named == fields
        assert named <= found


def test_verbs_that_compute_take_a_device_and_a_seed_and_modules():
    for name in ("train", "ablate", "evaluate", "embed", "search", "gallery search", "export"):
        names = {
            each for subject in VERBS[name].subjects for action in subject.actions for each in action.option_strings
        }
        assert {"--device", "--seed", "--import", "--quiet"} <= names, name


def test_options_know_the_fields_of_the_config():
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    assert [field.name for field in config_fields()] == list(fields)
    for field in config_fields():
        real = fields[field.name]
        default = real.default if real.default_factory is dataclasses.MISSING else real.default_factory()
        assert field.default == default, field.name
        assert field.type == real.type
        assert field.help, field.name


def choices(verb: str, option: str) -> tuple[str, ...]:
    actions = [action for subject in VERBS[verb].subjects for action in subject.actions]
    return tuple(next(action.choices for action in actions if option in (action.dest, *action.option_strings)))


def test_choices_are_those_of_the_library():
    from typing import get_args

    from denseil.data.datasets import READERS
    from denseil.data.readers.manifest import SPLITS
    from denseil.embedding import FramesPolicy
    from denseil.exporters.export import Format
    from denseil.metrics import PROTOCOLS
    from denseil.metrics.counting import METRICS
    from denseil.synth.people import Difficulty

    assert get_args(FramesPolicy) == options.FRAMES
    assert all(name in options.DATASETS for name in READERS)
    assert set(choices("export", "--format")) == set(get_args(Format))
    assert set(SPLITS) < set(choices("embed", "--split"))
    assert set(choices("data synth", "--difficulty")) == set(get_args(Difficulty))
    assert set(choices("evaluate", "--metric")) == set(METRICS)
    actions = [action for subject in VERBS["evaluate"].subjects for action in subject.actions]
    assert all(name in next(action.help for action in actions if action.dest == "protocol") for name in PROTOCOLS)


def test_help_imports_no_torch_and_takes_less_than_half_its_time():
    code = """
import sys, time
start = time.process_time()
from denseil.cli import main
for words in (["--help"], ["train", "--help"], ["evaluate", "--help"], ["gallery", "search", "--help"]):
    try: main(words)
    except SystemExit: pass
help = time.process_time() - start
assert not {"torch", "timm", "numpy", "PIL"} & set(sys.modules)
start = time.process_time()
import torch
print("ratio", help / (time.process_time() - start))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout.rsplit("ratio ")[-1]) < 0.5


# Words


def test_version(capsys: pytest.CaptureFixture[str]):
    assert main(["version"]) == 0
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.split() == [denseil.__version__] * 2


def test_no_verb_is_help_and_status_2(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    assert "verbs:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("evalute a b c", "did you mean 'evaluate'"),
        ("gallery serch x", "did you mean 'search'"),
        ("gallery", "gallery has the verbs add, copy"),
        ("embed x --modle y --model m -o o", "embed has no option '--modle': did you mean '--model'? ("),
        ("train --no-such 3", "train has no option '--no-such'"),
        ("train --l 3", "no option '--l'"),
        ("evaluate a b c d", "no further word 'd'"),
        ("search x --gallery g --k 0", "whole number from 1"),
        ("search x --gallery g --camids 1,x", "'x': it must be a whole number"),
        ("embed x --model m -o y --device gpu", "'gpu' is not a device"),
        ("profile x --size 128", "give height x width"),
        ("train --dataset-args x", "did you mean '--data-args'"),
        ("train --set lr", "give name=value"),
        ("train --set lrr=3", "lrr"),
        ("train --lr nan", "must be a number"),
        ("train --recipe smoke --resume x", "'x' holds no run"),
        ("train --model-args {", "not JSON"),
        ("link a -o p.csv --mot m --tracks a.mp4:a.txt", "argument --tracks: 'a.mp4:a.txt' is not VIDEO=FILE, such as"),
        ("link a -o p.csv --threshold 0.5 --far 0.1", "--threshold: --far would change nothing: leave it out"),
        ("train mars x --dataset manifest", "dataset is given twice, 'mars' and --dataset manifest: give one"),
        ("train mars x --root y", "root is given twice, 'x' and --root y: give one"),
        ("calibrate a b --far 2", "above 0 and at most 1"),
        ("gallery forget nowhere", "one of --pid, --track, --id"),
        ("gallery expire nowhere 3000000d", "before the year 1"),
        ("gallery expire nowhere nan", "is not a time"),
        ("data synth x --num-cameras 10", "from 1 to 9"),
        ("profile denseil_r5", "did you mean"),
        ("--verison", "unrecognized arguments: --verison"),
    ],
)
def test_what_cannot_be_understood_is_one_line_and_status_2(words: str, text: str, capsys: pytest.CaptureFixture[str]):
    assert text in err(capsys, words.split())


def test_positionals_may_stand_between_options():
    parsed = all_verbs()
    found = parsed.options(parsed.verbs["evaluate"], ["m", "--frames", "even8", "mars", "--seed", "1", "root"])
    assert (found["model"], found["dataset"], found["root"]) == ("m", "mars", Path("root"))


@pytest.mark.parametrize("words", ["--far 0.1 0.05", "--far 0.1,0.05", "--far [0.1,0.05]", "--far 0.1 --far 0.05"])
def test_lists_are_words_or_json(words: str):
    parsed = all_verbs()
    assert parsed.options(parsed.verbs["calibrate"], ["f", "m", *words.split()])["far"] == [0.1, 0.05]


def test_fields_come_from_recipe_options_and_set_in_this_order(tmp_path: Path):
    from denseil.cli.training import read_config

    parsed = all_verbs()
    words = [
        *("--recipe", "smoke", "--lr", "1e-3", "--set", "lr=1e-4", "model_args.depth=1", "--epochs=7"),
        *("--no-channels_last", "--model_args", '{"backbone": "test_resnet"}'),
    ]
    found = parsed.options(parsed.verbs["train"], [word.replace("s_", "s-").replace("l_", "l-") for word in words])
    fields = {name: found[name] for name in ("lr", "epochs", "channels_last", "model_args")}
    config = read_config("smoke", None, fields, found["set"])
    assert (config.lr, config.epochs, config.channels_last) == (1e-4, 7, False)
    assert config.model_args == {"backbone": "test_resnet", "depth": 1}
    assert config.clip_len == TrainConfig.from_recipe("smoke").clip_len


# Results


def test_models_lists_names_with_their_cost(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--filter", "denseil_resnet50"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("denseil_resnet50 "))
    assert row.split()[1:] == ["202.9", "M", "23.5", "M", "20.71", "16.21", "4.50", "none"]
    assert "T = 4 frames" in out


def test_a_filter_that_matches_nothing_says_so(capsys):
    assert main(["models", "--filter", "denseil_resnet99"]) == 2
    assert "--filter denseil_resnet99: no model has such a name; known: denseil, " in capsys.readouterr().err


def test_models_lists_the_tags_of_weights_with_the_default_first(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--filter", "denseil_mobilenetv2*", "--json"]) == 0
    for name, row in json.loads(capsys.readouterr().out).items():
        assert len(row["tags"]) > 1
        assert denseil.create_model(name, pretrained=True).pretrained_cfg["tag"] == row["tags"][0]


def test_profile_of_any_backbone_as_text_and_json(capsys: pytest.CaptureFixture[str]):
    words = ["profile", "denseil", "--frames", "2", "--size", "[64, 32]", "--model_args"]
    assert main([*words, '{"backbone": "test_resnet", "dim": 64, "num_heads": 4}']) == 0
    assert "T = 2 frames of 64 x 32" in capsys.readouterr().out
    assert main([*words, "backbone=test_resnet", "dim=64", "num_heads=4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["size"] == [64, 32]
    assert found["params"] > 0


def test_modules_of_ones_own_are_imported_before_or_after_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("first_of_mine", "second_of_mine"):
        (tmp_path / f"{name}.py").write_text(f"print('{name}')")
    assert main(["--import", "first_of_mine", "version", "--import=second_of_mine"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["first_of_mine", "second_of_mine"]
    assert "no_such_module" in err(capsys, ["version", "--import", "no_such_module"])
    (tmp_path / "broken_of_mine.py").write_text("1 / 0")
    assert "ZeroDivisionError" in err(capsys, ["version", "--import", "broken_of_mine"])


def test_completion_offers_files_wherever_a_path_goes(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    for option in ("evaluate___plot", "link___page", "adapt___output", "link___travel", "link___confirm"):
        assert f"_shtab_denseil_{option}_COMPGEN=_shtab_compgen_files" in script


def test_completion_knows_the_verbs(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "bash"]) == 0
    out = capsys.readouterr().out
    assert "gallery" in out
    assert "--not-camids" in out
    subprocess.run(["bash", "-n"], input=out, text=True, check=True)


# Ends


def test_ctrl_c_is_one_line_and_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(denseil.training, "ablate", stop)
    assert "run the same command again" in err(capsys, ["ablate", "1a"], INTERRUPTED)


def test_ctrl_c_in_a_training_names_the_command_that_resumes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "a run"

    def begin_and_stop(config: TrainConfig, *, resume: bool) -> None:
        folder.mkdir()
        config.save(folder / "train.yaml")
        raise KeyboardInterrupt

    monkeypatch.setattr(denseil.training, "train", begin_and_stop)
    words = ["train", "--recipe", "smoke", "--output", str(folder), "--import", "json"]
    assert f"denseil --import json train --resume '{folder}'" in err(capsys, words, INTERRUPTED)


def test_a_reader_that_has_gone_ends_quietly():
    command = f"{sys.executable} -m denseil train --help | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("usage: denseil train")


def test_unforeseen_errors_are_one_line_with_their_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(*args: object, **kwargs: object) -> None:
        json.loads("{")

    monkeypatch.setattr(denseil, "list_models", fail)
    assert "JSONDecodeError: Expecting" in err(capsys, ["models"])
    assert main(["models", "--traceback"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_say_works_on_a_terminal_without_utf8(monkeypatch: pytest.MonkeyPatch):
    import io

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    say("crops/é")
    assert raw.getvalue() == rb"crops/\xe9" + b"\n"


def test_nothing_in_the_command_line_prints_past_the_door():
    for path in (ROOT / "denseil" / "cli").glob("*.py"):
        if path.name != "output.py":
            found = [line for line in path.read_text().splitlines() if re.search(r"\bprint\(|stdout\.write", line)]
            assert [line for line in found if "file=sys.stderr" not in line] == [], path.name


def test_the_page_is_that_of_the_parser():
    from tests.docs_cli import PAGE, verbs_of_the_page
    from tests.docs_tables import between_markers

    text = PAGE.read_text()
    assert text == between_markers(text, verbs_of_the_page()), "run: python -m tests.docs_cli"

"""Nothing that a stranger named commands the terminal, or looks like a line of ours: 23 probes at every door."""

import contextlib
import csv
import logging
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from denseil.cli import main
from denseil.cli.output import complain, messages, note, say
from denseil.common.text import plain, plain_lines
from denseil.metrics import Embeddings, save_features

PROBES = {
    "colour": "\x1b[31mred",
    "clear screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "link": "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\",
    "device control": "\x1bP$q\x1b\\",
    "answerback": "\x05",
    "bell": "\x07",
    "backspace": "safe\b\b\b\bevil",
    "carriage return": "safe\revil",
    "line feed": "safe\ndenseil: all is well",
    "tab": "a\tb",
    "vertical tab": "a\x0bb",
    "form feed": "a\x0cb",
    "delete": "a\x7fb",
    "C1 CSI": "\x9b31m",
    "C1 OSC": "\x9d0;owned\x9c",
    "next line": "safe\x85denseil: all is well",
    "line separator": "safe\u2028denseil: all is well",
    "right-to-left override": "\u202egpj.exe",
    "isolate": "\u2066a\u2069",
    "zero width": "pass\u200bword\ufeff",
    "not UTF-8": os.fsdecode(b"caf\xe9"),
}
NAMES = pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]):
    """What reached the terminal since the last call, as lines, each of them checked."""

    def read() -> list[str]:
        found = capfd.readouterr()
        lines = (found.out + found.err).split("\n")
        assert all(line.isprintable() for line in lines), lines
        assert not any(line.startswith("denseil: all is well") for line in lines)
        return lines[:-1]

    return read


def test_there_are_23_probes():
    assert len(PROBES) == 23


@NAMES
def test_text_is_escaped_and_can_be_encoded(probe: str):
    assert plain(probe).isprintable()
    assert plain(probe).encode()
    assert plain_lines(f"a\n{plain(probe)}").count("\n") == 1
    assert plain("Zoë, 東京") == "Zoë, 東京"


@NAMES
def test_words_of_the_command_line(probe: str, printed):
    commands = [
        [probe],
        ["gallery", probe],
        ["embed", "x", f"--{probe}"],
        ["embed", probe, "--model", "m", "-o", "o"],
        ["embed", "x", "--model", "m", "-o", "o", "--device", probe],
        ["data", "check", probe, "nowhere"],
        ["data", "splits", probe, "nowhere"],
        ["train", "--recipe", probe],
        ["train", "--resume", probe],
        ["train", "--set", probe],
        ["train", "--set", f"lr={probe}"],
        ["evaluate", "--features", probe, probe],
        ["search", "x", "--gallery", probe],
        ["search", "x", "--gallery", "g", "--after", probe],
        ["profile", probe],
        ["tracklets", probe, probe, "out"],
        ["--import", probe, "version"],
    ]
    for words in commands:
        assert main(words) in (1, 2), words
        assert len(printed()) in (1, 3), words  # a report of `data check` has three


@NAMES
def test_messages_errors_records_and_warnings(probe: str, printed):
    with messages(quiet=False):
        note(probe)
        complain(probe)
        logging.getLogger("denseil.data.images").warning("cannot read %s", probe)
        warnings.warn(f"cannot read {probe}", stacklevel=1)
    assert len(printed()) == 4
    say(plain(probe))
    assert len(printed()) == 1


def test_names_in_a_dataset_and_its_report(tmp_path: Path, printed):
    root = tmp_path / "manifest.csv"
    with root.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(["tracklet", "frame", "pid", "camid", "split"])
        for number, probe in enumerate(list(PROBES.values())[:-1]):  # the last is no text
            table.writerow([f"{number}{probe}", f"{probe}.jpg", number, 1, ("train", "query", "gallery")[number % 3]])
    assert main(["data", "check", "manifest", str(root)]) == 1
    assert sum("1 of 1 frames missing" in line for line in printed()) == 22
    assert main(
        ["embed", str(root), "--model", "denseil_mobilenetv2", "-o", str(tmp_path / "o.safetensors"), "--no-progress"]
    ) in (0, 2)
    printed()


def test_names_of_files_in_a_folder(tmp_path: Path, printed):
    for number, probe in enumerate(PROBES.values()):
        folder = tmp_path / "crops" / f"{number}{probe}".replace("/", "-")
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True)
            (folder / f"{probe.replace('/', '-')}.jpg").write_bytes(b"no image")
    words = [
        "embed",
        str(tmp_path / "crops"),
        "--model",
        "denseil_mobilenetv2",
        "-o",
        str(tmp_path / "o.safetensors"),
        "--no-progress",
    ]
    assert main(words) in (0, 1, 2)
    assert len(printed()) < 40


@NAMES
def test_metadata_of_a_strangers_features_file(probe: str, tmp_path: Path, printed):
    path = str(tmp_path / "f.safetensors")
    safe = probe.encode("utf-8", "replace").decode()
    data = Embeddings(np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    records = [{"id": f"{i}{safe}", "start": 0, "end": 1, "thumbnail": safe, "track": safe} for i in range(4)]
    save_features(path, data, metadata={"frames": safe, "model": safe, "weights": safe}, records=records)
    main(["evaluate", "--features", path, path])
    assert len(printed()) < 8
    main(["calibrate", path, str(tmp_path)])
    assert len(printed()) == 1


def test_a_gallery_of_hostile_records(tmp_path: Path, printed):
    pytest.importorskip("lancedb")
    path, place = str(tmp_path / "f.safetensors"), str(tmp_path / "g\x1b[31m")
    names = [probe.encode("utf-8", "replace").decode() for probe in PROBES.values()]
    size = len(names)
    data = Embeddings(np.eye(size, dtype=np.float32), np.arange(size) % 5, np.arange(size) % 3)
    records = [{"id": f"{i}{name}", "start": 0, "end": 1, "track": name} for i, name in enumerate(names)]
    save_features(path, data, metadata={"model": names[0], "frames": "all"}, records=records)
    for words in (["gallery", "add", place, path], ["gallery", "info", place]):
        main(words)
        printed()
    assert main(["search", path, "--gallery", place, "--k", "3"]) in (0, 2)
    assert len(printed()) <= 10 * 4 + 1
    for name in names[:5]:
        main(["search", f"0{name}", "--gallery", place])
        main(["gallery", "forget", place, "--track", name])
        printed()

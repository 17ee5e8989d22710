"""Damaged files: every changed byte is an error or the identical answer; nothing runs before the check."""

import io
import os
import pickle
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import denseil
from denseil.embedding import Embedder
from denseil.embedding.pt2_check import check_program
from denseil.embedding.seal import check_seal, seal
from tests.exporters.test_export import OLD, build

FILES = {"onnx": "m.onnx", "openvino": "m.xml", "pt2": "m.pt2"}


@pytest.fixture(scope="module")
def frames() -> list:
    return list(torch.randint(0, 256, (3, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module", params=FILES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param != "pt2":
        for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
            pytest.importorskip(package)
        if OLD:
            pytest.skip("the ONNX exporter of this torch is too old")
    folder = tmp_path_factory.mktemp("sealed")
    denseil.export(build(), folder / FILES[request.param], size=(64, 32))
    return folder


def model_file(folder: Path) -> Path:
    return next(file for file in sorted(folder.iterdir()) if file.suffix != ".bin")


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_damaged_byte_is_never_another_answer(folder: Path, frames: list, tmp_path: Path, count: int):
    name = model_file(folder).name
    expected = Embedder(folder / name)(frames)
    rng = random.Random(count)
    refused = 0
    for _ in range(count):
        for file in folder.iterdir():
            shutil.copy(file, tmp_path)
        victim = rng.choice(sorted(tmp_path.iterdir()))
        data = bytearray(victim.read_bytes())
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        victim.write_bytes(data)
        try:
            found = Embedder(tmp_path / name)(frames)
        except ValueError as error:
            refused += "cannot open" in str(error)
        else:
            assert torch.equal(found, expected)
    assert refused == count  # all of them, since the digest is over every byte


def test_a_damaged_mark_is_an_error(folder: Path, tmp_path: Path):
    """A file whose digest cannot be found must not pass for one of an earlier version."""
    for file in folder.iterdir():
        shutil.copy(file, tmp_path)
    path = tmp_path / model_file(folder).name
    data = path.read_bytes()
    mark = b"denseil-sha256" if path.suffix == ".pt2" else b"sha256"
    assert data.count(mark) == 1
    path.write_bytes(data.replace(mark, mark.replace(b"s", b"z")))
    assert not check_seal(path)
    with pytest.raises(ValueError, match="its digest is unreadable"):
        Embedder(path)


def test_weights_of_another_model_are_refused(folder: Path, tmp_path: Path):
    if model_file(folder).suffix != ".xml":
        pytest.skip("one file")
    shutil.copy(folder / "m.xml", tmp_path / "other.xml")
    weights = np.fromfile(folder / "m.bin", dtype=np.uint8)
    weights[: weights.size // 2] = weights[: weights.size // 2][::-1]
    weights.tofile(tmp_path / "other.bin")  # as long as ours
    with pytest.raises(ValueError, match=r"other.xml or other.bin was changed or replaced"):
        Embedder(tmp_path / "other.xml")


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.path),))


def replaced(data: bytes, name: str, change) -> bytes:
    """A zip archive with one entry changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            content = old.read(entry.filename)
            new.writestr(entry.filename, change(content) if entry.filename.endswith(name) else content)
    return out.getvalue()


def swap(old: bytes, new: bytes):
    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return change


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "m.pt2"
    denseil.export(build(), path, size=(64, 32))
    return path


def test_a_pickle_in_a_program_does_not_run(program: Path, tmp_path: Path):
    ran = tmp_path / "ran"
    path = tmp_path / "m.pt2"
    path.write_bytes(replaced(program.read_bytes(), "sample_inputs/model.pt", lambda _: pickle.dumps(Payload(ran), 2)))
    seal(path)  # anybody can compute the digest
    with pytest.raises(ValueError, match="it could run code"):
        Embedder(path)
    assert not ran.exists()
    buffer = io.BytesIO()
    torch.save({"x": Payload(ran)}, buffer)
    path.write_bytes(replaced(program.read_bytes(), "sample_inputs/model.pt", lambda _: buffer.getvalue()))
    with pytest.raises(ValueError, match="it could run code"):
        Embedder(path)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("entry", "old", "new", "says"),
    [
        ("models/model.json", b'"torch.ops.aten.relu.default"', b'"torch.os.system"', "holds target 'torch.os.system'"),
        ("models/model.json", b"\"Symbol('s31', positive=True, integer=True)\"", b'"exec(chr(49))"', "holds expr_str"),
        ("models/model.json", b"\"L['clips'].size()[0] ==", b"\"__import__('os') ==", "holds guards_code"),
        ("models/model.json", b"builtins.tuple", b"os.system", "holds in_spec"),
        ("model_weights_config.json", b'"use_pickle": false', b'"use_pickle": true', "names pickled tensors"),
    ],
)
def test_code_in_a_program_is_refused(program: Path, entry: str, old: bytes, new: bytes, says: str):
    check_program(program.read_bytes())
    with pytest.raises(ValueError, match=says):
        check_program(replaced(program.read_bytes(), entry, swap(old, new)))


def test_native_code_in_a_program_is_refused(program: Path, tmp_path: Path):
    path = tmp_path / "m.pt2"
    shutil.copy(program, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/aotinductor/model/x.so", b"")
    with pytest.raises(ValueError, match=r"holds 'data/aotinductor/model/x.so'"):
        check_program(path.read_bytes())


def test_openvino_sends_no_telemetry(tmp_path: Path):
    for package in ("onnx", "onnxscript", "openvino", "openvino_telemetry"):
        pytest.importorskip(package)
    code = """
import sys, denseil
from denseil.common.extras import need
if sys.argv[1] == "ours":
    need("openvino", to="test")
else:
    import openvino
main = sys.modules.get("openvino.tools.ovc.telemetry_utils")
print(main.tm.__name__, "openvino_telemetry" in sys.modules)
"""
    said = []
    for how in ("ours", "plain"):
        done = subprocess.run(
            [sys.executable, "-c", code, how],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "HOME": str(tmp_path), "CI": "true"},  # CI: nothing is sent by the plain import, either
        )
        said.append(done.stdout.strip())
    assert said == ["openvino.tools.ovc.telemetry_stub False", "openvino_telemetry True"]

"""`import denseil` imports no torch; its names arrive when they are used; timm knows the models in either order."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import denseil

PUBLIC = [
    *("DenseIL", "Embedder", "Preprocessing", "TrackletEmbedder", "create_model", "data", "embedding", "evaluate"),
    *("export", "exporters", "gallery", "is_model", "keep_heap", "layers", "linking", "list_models", "list_pretrained"),
    *("losses", "metrics", "models", "optimize", "profile", "push_to_hub", "register_model", "save_pretrained"),
    *("single_frame", "synth", "train", "training", "viz"),
]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str):
    assert getattr(denseil, name) is not None
    assert name in dir(denseil)


def test_registries_of_ones_own_are_reached_from_the_top():
    assert callable(denseil.losses.register_objective)
    assert callable(denseil.register_model)


def test_type_checkers_and_programs_see_the_same_names():
    tree = ast.parse(Path(denseil.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        name.asname: f"denseil.{name.name}" if node.module == "denseil" else node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert typed == denseil._HOME | {name: f"denseil.{name}" for name in denseil._SUBMODULES}
    assert set(PUBLIC) == set(typed)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'creat_model'"):
        _ = denseil.creat_model


def test_neither_torch_nor_timm_is_imported_before_a_name_is_used():
    code = "import denseil, sys; print({'torch', 'timm', 'numpy'} & set(sys.modules), denseil.__version__)"
    assert run(code) == f"set() {denseil.__version__}"


@pytest.mark.parametrize(
    "first",
    [
        "timm, denseil",
        "denseil, timm.layers, timm",
        pytest.param("denseil, timm", marks=pytest.mark.slow),
        pytest.param("denseil.models, timm", marks=pytest.mark.slow),
    ],
)
def test_timm_creates_our_models_in_either_order(first: str):
    code = f"import {first}; print(timm.is_model('denseil_resnet50'), type(timm.__spec__.loader).__name__)"
    assert run(code) == "True SourceFileLoader"


def test_threads_that_import_timm_at_once_all_find_the_models():
    code = """
import threading, denseil
found = []
def look():
    import timm
    found.append(timm.is_model("denseil_resnet50"))
def use():
    found.append(denseil.is_model("denseil_resnet50"))
threads = [threading.Thread(target=each) for each in (look, use, look, look)]
for each in threads: each.start()
for each in threads: each.join()
print(found)
"""
    assert run(code) == "[True, True, True, True]"


def test_without_timm_the_rest_works(tmp_path: Path):
    code = """
import sys
class Absent:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "timm": raise ModuleNotFoundError("no timm", name="timm")
sys.meta_path.insert(0, Absent())
import denseil
denseil.layers.PartPool(4)
try:
    import timm
except ModuleNotFoundError as error:
    print(error.name)
try:
    denseil.create_model
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(code) == "timm\ntimm"


def test_no_room_needs_what_windows_lacks_or_imports_anything_optional():
    rooms = "common data embedding exporters gallery layers linking losses metrics models training viz cli"
    optional = "accelerate tensorboard matplotlib jinja2 onnx onnxruntime openvino lancedb pymilvus scipy h5py pyarrow"
    optional += " simplejpeg av numba joblib shtab torch.distributed.fsdp"
    code = f"""
import os, sys
sys.modules.update(resource=None, fcntl=None)
del os.fork
import timm
before = set(sys.modules)  # timm takes what is installed
import denseil
for room in "{rooms}".split():
    __import__(f"denseil.{{room}}")
denseil.train
print(sorted(set("{optional}".split()) & (set(sys.modules) - before)))
"""
    assert run(code) == "[]"


@pytest.mark.slow
def test_the_fast_tests_pass_without_what_windows_lacks():
    """Those of the rooms that need no training; `tests.forked` skips what needs a real fork."""
    rooms = "common layers losses metrics models data linking embedding gallery"
    paths = [f"tests/{room}" for room in rooms.split()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.as_on_windows", "-p", "no:cacheprovider", *paths],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "needs os.fork, which this system lacks" in done.stdout

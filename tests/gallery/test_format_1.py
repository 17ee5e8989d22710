"""Galleries and features files as versions before `TrackKey` wrote them open, and say what they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from denseil import gallery
from denseil.cli import main
from denseil.gallery import Record, Where
from denseil.gallery.record import key_of
from denseil.metrics import load_features, load_records
from denseil.metrics.merging import read_together

MODEL = "denseil_mobilenetv2 0123456789abcdef"  # an architecture and a digest of weights, without an identity
VECTORS = np.eye(3, dtype=np.float32)


def old_gallery(folder: Path) -> str:
    """Three records in the layout of that time: the same columns, and the model alone in the table's metadata."""
    lancedb = pytest.importorskip("lancedb")
    import pyarrow as pa

    columns = {
        "key": [key_of(f"clip/{track}") for track in range(3)],
        "id": [f"clip/{track}" for track in range(3)],
        "camid": pa.array([1, 1, 2], pa.int64()),
        "starts": [0.0, 5.0, 9.0],
        "ends": [4.0, 8.0, 9.0],
        "track": ["0", "1", "2"],
        "pid": pa.array([-1, 7, -1], pa.int64()),
        "thumbnail": ["", "", "a.jpg"],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 3),
    }
    fields = [pa.field(name, pa.array(values).type, nullable=False) for name, values in columns.items()]
    schema = pa.schema(fields, metadata={b"denseil.model": MODEL.encode()})
    lancedb.connect(folder).create_table("records", pa.table(columns, schema=schema))
    return str(folder)


def old_features(path: Path) -> Path:
    """Three vectors in the layout of that time: ids of file and track, and the weights' digest as the model."""
    records = [{"id": f"clip/{track}", "start": 5.0 * track, "end": 5.0 * track + 4} for track in range(3)]
    tensors = {
        "vectors": torch.from_numpy(VECTORS),
        "pids": torch.tensor([-1, 7, -1]),
        "camids": torch.tensor([1, 1, 2]),
        "records": torch.frombuffer(bytearray(json.dumps(records).encode()), dtype=torch.uint8),
    }
    architecture, weights = MODEL.split()
    save_file(tensors, path, metadata={"frames": "all", "model": architecture, "weights": weights})
    return path


def test_a_gallery_of_format_1_opens_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    uri = old_gallery(tmp_path / "g")
    with gallery.open(uri) as held:
        assert (held.format, held.dim, held.model, held.count()) == (1, 3, MODEL, 3)
        (hits,) = held.search(VECTORS[1], 1)
        assert hits[0].record == Record("clip/1", 1, 5.0, 8.0, "1", 7)
        assert held.add([Record("c2/clip.mp4/1@5", 2, 5.0, 8.0)], VECTORS[1]) == 1
        assert held.count(Where(camids=[2])) == 2
        with pytest.raises(ValueError, match="1 of 1 ids are held"):
            held.add([Record("clip/1", 2, 5.0, 8.0)], VECTORS[1])
        assert held.forget(pid=7) == 1
    assert main(["gallery", "info", uri]) == 0
    assert "format 1, of an earlier version, in which one id could stand for two tracklets" in capsys.readouterr().out
    with gallery.open(str(tmp_path / "new"), 3) as new:
        assert new.format == 2
    assert main(["gallery", "info", str(tmp_path / "new"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == 2


def test_a_features_file_of_that_time_is_read_and_fits_its_gallery(tmp_path: Path):
    path = old_features(tmp_path / "old.safetensors")
    embeddings, metadata = load_features(path)
    assert (embeddings.pids.tolist(), metadata["frames"], "model_id" in metadata) == ([-1, 7, -1], "all", False)
    assert [record["id"] for record in load_records(path)] == ["clip/0", "clip/1", "clip/2"]
    assert [record["id"] for record in read_together([path])[1]] == ["clip/0", "clip/1", "clip/2"]
    assert gallery.features_model(path) == MODEL
    records, vectors = gallery.read_features(path)
    with gallery.open(old_gallery(tmp_path / "g"), 3, model=gallery.features_model(path)) as held:
        assert held.find([record.id for record in records])
    with gallery.open(str(tmp_path / "new"), 3, model=MODEL) as held:
        assert held.add(records, vectors) == 3

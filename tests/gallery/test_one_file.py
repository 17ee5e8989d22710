"""A gallery in one file: `save` and `load`."""

from pathlib import Path

import numpy as np
import pytest

from denseil import gallery
from denseil.gallery import MemoryGallery, Record
from tests.gallery.conftest import DIM, MODEL, records, unit


def filled(size: int = 30) -> MemoryGallery:
    people = MemoryGallery(DIM, MODEL)
    people.add(records(size), unit(size))
    return people


def test_all_is_there_after_a_restart(tmp_path: Path):
    people = filled()
    gallery.save(people, tmp_path / "people")
    again = gallery.load(tmp_path / "people", model=MODEL)
    assert (again.dim, again.model) == (DIM, MODEL)
    before, after = (next(iter(one.scan())) for one in (people, again))
    assert [one.record for one in after] == [one.record for one in before]
    np.testing.assert_allclose([one.vector for one in after], [one.vector for one in before], atol=1e-7)
    again.forget(pid=1)
    gallery.save(again, tmp_path / "people")
    kept = gallery.load(tmp_path / "people")
    assert 0 < kept.count() < 30
    assert {one.record.pid for some in kept.scan() for one in some} == {None, 0, 2, 3, 4}
    assert list(tmp_path.iterdir()) == [tmp_path / "people"]


def test_an_empty_gallery_keeps_its_width_and_model(tmp_path: Path):
    gallery.save(MemoryGallery(7, MODEL), tmp_path / "none.npz")
    again = gallery.load(tmp_path / "none.npz")
    assert (again.dim, again.model, again.count()) == (7, MODEL, 0)


def test_the_vectors_of_another_model_are_refused(tmp_path: Path):
    gallery.save(filled(), tmp_path / "people.npz")
    with pytest.raises(ValueError, match=r"people\.npz: .* filled by the model"):
        gallery.load(tmp_path / "people.npz", model="another 5678")


def test_damage_and_other_files_are_one_line(tmp_path: Path):
    path = tmp_path / "people.npz"
    gallery.save(filled(), path)
    whole = path.read_bytes()
    damaged = [b"", whole[: len(whole) // 2], whole[:200] + bytes(80) + whole[280:], b"no gallery"]
    central = whole.rindex(b"PK\x01\x02")  # the entry of the vectors in the list of the archive
    places = [central + byte for byte in (8, 10, 45)]  # encrypted, compressed in an unknown way, before the file begins
    damaged += [whole[:place] + b"\xff" + whole[place + 1 :] for place in places]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"people\.npz is no gallery of denseil\.gallery\.save, or is damaged: "):
            gallery.load(path)
    np.savez(path, vectors=unit(2))
    with pytest.raises(ValueError, match="or is damaged"):
        gallery.load(path)
    np.savez(path, head=np.array([{"pickled": Record("a", 1)}], object), vectors=unit(1))
    with pytest.raises(ValueError, match="or is damaged"):
        gallery.load(path)
    with pytest.raises(FileNotFoundError):
        gallery.load(tmp_path / "gone.npz")


def test_an_error_of_save_keeps_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gallery.save(filled(), tmp_path / "people.npz")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        gallery.save(filled(3), tmp_path / "people.npz")
    assert gallery.load(tmp_path / "people.npz").count() == 30
    assert list(tmp_path.iterdir()) == [tmp_path / "people.npz"]

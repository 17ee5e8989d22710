"""A progress bar does not fill a log file, and is hidden where it is not wanted."""

import pytest

from denseil.common.progress import progress_bar


def test_a_log_file_gets_a_state_now_and_then(capsys: pytest.CaptureFixture[str]):
    with progress_bar(500, unit="frame", show=True, disable=False) as bar:  # whatever TQDM_DISABLE is here
        for _ in range(500):
            bar.update()
    err = capsys.readouterr().err
    assert "500/500" in err
    assert err.count("\r") <= 4


def test_a_hidden_bar_writes_nothing(capsys: pytest.CaptureFixture[str]):
    with progress_bar(3, unit="frame", show=False) as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""

"""Times as text, wherever they are read: a time without a zone is answered by one that can be given."""

import re
from pathlib import Path

import pytest

from denseil.cli.times import seconds
from denseil.common.times import iso_seconds
from denseil.data import cut_tracklets


@pytest.mark.parametrize("text", ["2026-05-01T06:30:00Z", "2026-05-01T08:30:00+02:00", "2026-05-01 06:30+00:00"])
def test_a_time_with_a_zone(text: str):
    assert iso_seconds(text) == seconds(text) == 1777617000


@pytest.mark.parametrize("text", ["2026-05-01", "2026-05-01T08:30"])
def test_the_advice_can_be_followed(text: str):
    for read in (iso_seconds, seconds, lambda text: cut_tracklets("a.mp4", "a.txt", Path("out"), camid=1, start=text)):
        with pytest.raises(ValueError, match=r"has no time zone: add it, such as \S+, or \S+Z$") as refused:
            read(text)
        for advice in re.findall(r"such as (\S+), or (\S+)$", str(refused.value))[0]:
            assert isinstance(seconds(advice), float)


@pytest.mark.parametrize("text", ["noon", "", "2026-13-01T00:00:00Z", "10000-01-01T00:00:00Z"])
def test_what_is_no_time(text: str):
    with pytest.raises(ValueError, match=re.escape(f"start {text!r} is not a time: write 2026-05-01T08:30:00+02:00")):
        iso_seconds(text, name="start")

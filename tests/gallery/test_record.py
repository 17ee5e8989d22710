from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from denseil.gallery import Record, Where
from denseil.gallery.record import COLUMNS


@given(
    st.builds(
        Record,
        id=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200),
        camid=st.integers(-(2**63), 2**63 - 1),
        start=st.floats(-1e9, 0),
        end=st.none() | st.floats(0, 1e9),
        track=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200),
        pid=st.none() | st.integers(0, 2**63 - 1),
    )
)
def test_a_row_is_the_record(record: Record):
    assert Record.from_row(dict(zip(COLUMNS, record.to_row(), strict=True))) == record


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ({"id": ""}, ValueError, "id is empty"),
        ({"id": 3}, TypeError, "must be text"),
        ({"id": "\ud800"}, ValueError, "UTF-8"),
        ({"id": "a\0"}, ValueError, "zero byte"),
        ({"track": "é" * 1001}, ValueError, "2,002 bytes"),
        ({"camid": 1.5}, TypeError, "camid is 1.5"),
        ({"camid": True}, TypeError, "camid is True"),
        ({"camid": 2**63}, ValueError, "64 bits"),
        ({"pid": -1}, ValueError, "pid is -1"),
        ({"start": float("nan")}, ValueError, "must be finite"),
        ({"start": "noon"}, TypeError, "start is 'noon'"),
        ({"start": np.float32(1.7e9)}, ValueError, "start is of type float32, whose numbers are 128 s apart"),
        ({"start": 5, "end": 4}, ValueError, "before it starts"),
        ({"end": -1}, ValueError, "before it starts"),
    ],
)
def test_wrong_records_are_refused(values: dict[str, object], error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        Record(**{"id": "a", "camid": 1, **values})  # type: ignore[arg-type]


def test_a_time_must_be_finite():
    with pytest.raises(ValueError, match="after is nan"):
        Where(after=float("nan"))


@pytest.mark.parametrize("values", [range(10**12), range(10**30), range(0, -(10**30), -1), list(range(100_001))])
def test_a_filter_does_not_list_more_than_a_database_reads(values: object):
    with pytest.raises(ValueError, match="at most 100,000"):
        Where(camids=values)  # type: ignore[arg-type]

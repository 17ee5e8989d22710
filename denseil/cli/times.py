"""Times on the command line."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

from denseil.common.text import plain
from denseil.common.times import iso_seconds


def seconds(text: str | None) -> float | None:
    """Convert a time to seconds since 1970: an ISO date with an offset, an age such as `30d` or `12h`, or a number.

    Raises:
        ValueError: If it is none of these, has no offset, or is outside the calendar.
    """
    if text is None:
        return None
    unit = {"d": "days", "h": "hours"}.get(text[-1:])
    try:
        if unit is not None:
            ago = timedelta(**{unit: float(text[:-1])})
            return (datetime.now(timezone.utc) - ago).timestamp()
        value = float(text)
    except OverflowError as error:
        raise ValueError(f"{plain(text)!r} lies before the year 1; give fewer days, an ISO date or seconds") from error
    except ValueError:
        pass
    else:
        if math.isfinite(value):
            return value
    return iso_seconds(text, also=", 30d or seconds")

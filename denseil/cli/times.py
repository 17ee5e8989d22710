"""Times on the command line."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

from denseil.common.text import plain


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
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{plain(text)!r} is not a time; write 2026-05-01T08:30:00+02:00, 30d or seconds") from error
    raise ValueError(f"{text!r} has no time zone; add the offset, such as {text}+00:00")

"""Times written as text."""

from __future__ import annotations

from datetime import datetime

from denseil.common.arguments import shown

EXAMPLE = "2026-05-01T08:30:00+02:00"


def iso_seconds(text: str, *, name: str = "", also: str = "") -> float:
    """Convert an ISO 8601 date and time with an offset, or with Z, to seconds since 1970.

    Args:
        text: The time.
        name: Name of the value in errors.
        also: Further forms that the caller takes, as they end the error: ", 30d or seconds".

    Raises:
        ValueError: If it is not such a time, has no offset, or is outside the calendar.
    """
    given = f"{name} {shown(text)}".lstrip()
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z
        if time.tzinfo is not None:
            return time.timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{given} is not a time: write {EXAMPLE}{also}") from error
    whole = time.isoformat()  # a date alone takes no offset
    raise ValueError(f"{given} has no time zone: add it, such as {whole}+02:00, or {whole}Z")

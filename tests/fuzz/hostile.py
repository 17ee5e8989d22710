"""Values that nobody should give, and that somebody will."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch


class OwnError(Exception):
    """An error of a function that the caller gave."""


def fails(*args: object, **kwargs: object) -> None:
    """A function of the caller's that fails."""
    raise OwnError


VALUES: tuple[object, ...] = (
    None,
    True,
    float("nan"),
    float("inf"),
    -float("inf"),
    -1,
    0,
    1,
    0.5,
    1e308,
    2**31,
    2**63,
    -(2**63) - 1,
    "",
    "\x00",
    "\x1b[31m",
    "nobody",
    "a" * 5000,
    "../../nowhere",
    "caf\udce9",
    b"bytes",
    Path("no/such/path"),
    Path("/dev/null"),
    [],
    {},
    (),
    [None],
    [float("nan")],
    [-1],
    ["nobody"],
    {"nobody": 1},
    object(),
    fails,
    int,
    np.zeros(0),
    np.full((2, 2), np.nan),
    np.zeros((3, 3), dtype=np.uint8),
    torch.zeros(0),
    torch.full((2, 3), float("nan")),
    torch.ones(1, 2, 3, 4, 5, 6),
    torch.zeros(2, 3, dtype=torch.int64),
    torch.device("meta"),
)
WORDS = (
    *(
        "",
        " ",
        "\x1b[31m",
        "nobody",
        "a" * 5000,
        "../../nowhere",
        "caf\udce9",
        "-1",
        "0",
        "nan",
        "inf",
        "1e308",
        "2e-400",
    ),
    *(
        str(2**63),
        "[]",
        "[1",
        "{}",
        "null",
        "/dev/null",
        "/dev/null/x",
        ".",
        "no/such/path",
        "none",
        "3000000d",
        "256x0",
        "x" * 300,
    ),
    *(
        "a=b",
        "=",
        "lr=",
        "--",
        "-",
        "1,2,",
        "٣",
        "\uff11",
        "s3://",
        "http://127.0.0.1:1",
        "memory://",
        "milvus://x",
        "cuda:99",
    ),
)


def shown(value: object) -> str:
    """A value in a report."""
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."

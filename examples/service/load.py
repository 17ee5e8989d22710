"""Load a running service: requests per second and how long they take.

python load.py http://127.0.0.1:8000 TOKEN FOLDER_OF_CROPS --clients 8 --seconds 20 --requests 1000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx


async def client(
    http: httpx.AsyncClient,
    crops: list[bytes],
    until: float,
    tickets: Iterator[int],
    times: list[float],
    busy: list[int],
) -> None:
    """Search again and again, until the time or the tickets are used up."""
    files = [("crops", ("crop.jpg", crop, "image/jpeg")) for crop in crops]
    while time.perf_counter() < until and next(tickets, None) is not None:
        begin = time.perf_counter()
        answer = await http.post("/v1/search", files=files)
        if answer.status_code == 503:
            busy.append(1)
            await asyncio.sleep(0.1)
            continue
        answer.raise_for_status()
        times.append(time.perf_counter() - begin)


async def ready(http: httpx.AsyncClient, seconds: float = 120) -> None:
    """Wait until the service answers."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        with contextlib.suppress(httpx.ConnectError):
            (await http.get("/healthz")).raise_for_status()
            return
        await asyncio.sleep(0.5)
    raise SystemExit(f"no service answers at {http.base_url}")


async def load(url: str, token: str, folder: Path, clients: int, seconds: float, requests: int) -> None:
    """Run clients beside each other, and print what they saw."""
    crops = [path.read_bytes() for path in sorted(folder.iterdir())][:8]
    headers = {"Authorization": f"Bearer {token}"}
    times: list[float] = []
    busy: list[int] = []
    tickets = iter(range(requests))
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
        await ready(http)
        begin = time.perf_counter()
        await asyncio.gather(*(client(http, crops, begin + seconds, tickets, times, busy) for _ in range(clients)))
        took = time.perf_counter() - begin
    half, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    print(
        f"{len(times)} requests in {took:.1f} s: {len(times) / took:.1f} requests/s of {len(crops)} crops; half "
        f"answered within {1000 * half:.0f} ms, 95 % within {1000 * p95:.0f} ms; {len(busy)} refused as busy"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20, help="end then at the latest")
    parser.add_argument("--requests", type=int, default=1_000, help="send no more than these")
    asyncio.run(load(**vars(parser.parse_args())))

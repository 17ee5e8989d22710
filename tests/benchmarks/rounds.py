"""Ways that alternate, so that a busy machine slows all of them, and their ratios with spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

Seconds = dict[str, list[float]]

# Before each way, in seconds: threads of other runtimes go on spinning after a call, and would slow the next way.
REST = 0.3


@dataclass(frozen=True)
class Ratio:
    """A median over rounds with the least and the greatest, and what is asked for."""

    name: str
    median: float
    least: float
    most: float
    aim: str = ""

    def __str__(self) -> str:
        return f"{self.name:66}{self.median:8.2f}  ({self.least:.2f} to {self.most:.2f})  {self.aim}".rstrip()


def alternate(ways: Mapping[str, Callable[[], object]], rounds: int) -> Seconds:
    """Wall seconds of each way in each round; a first round warms up and is not counted."""
    seconds: Seconds = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, work in ways.items():
            time.sleep(REST)
            begin = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def ratio(name: str, seconds: Seconds, over: str, under: str, *, scale: float = 1.0, aim: str = "") -> Ratio:
    """Seconds of `over` by those of `under`, of the same round, times `scale`."""
    values = [scale * a / b for a, b in zip(seconds[over], seconds[under], strict=True)]
    return Ratio(name, statistics.median(values), min(values), max(values), aim)


def report(title: str, seconds: Seconds, ratios: list[Ratio]) -> dict[str, object]:
    """Print a section, and give it as JSON."""
    print(f"\n{title}")
    for name, times in seconds.items():
        print(
            f"  {name:44}{statistics.median(times) * 1e3:10.1f} ms  ({min(times) * 1e3:.1f} to {max(times) * 1e3:.1f})"
        )
    for one in ratios:
        print(f"  {one}")
    return {"title": title, "seconds": seconds, "ratios": [asdict(one) for one in ratios]}

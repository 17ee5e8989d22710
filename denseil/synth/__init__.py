"""Synthetic people: video re-ID datasets rendered from open assets.

Rendering needs the extra `synth`. The names below are imported on first use, so that the packaged sample can be read
without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from denseil.synth.benchmarks import BENCHMARKS as BENCHMARKS
    from denseil.synth.benchmarks import benchmark as benchmark
    from denseil.synth.benchmarks import verify as verify
    from denseil.synth.people import People as People
    from denseil.synth.people import Recipe as Recipe
    from denseil.synth.walks import walks as walks
    from denseil.synth.write import synthesize as synthesize
    from denseil.synth.write import write_people as write_people

from denseil.synth.sample import sample as sample

_HOME = {
    "BENCHMARKS": "benchmarks",
    "benchmark": "benchmarks",
    "verify": "benchmarks",
    "People": "people",
    "Recipe": "people",
    "synthesize": "write",
    "walks": "walks",
    "write_people": "write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    from denseil.common.extras import need

    for package in ("joblib", "numba", "scipy"):
        need(package, to="render people", extra="synth")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

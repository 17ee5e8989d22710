"""Calls a target with hostile arguments and tells an error of ours from a foreign one."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import denseil
from denseil.cli import main
from denseil.cli.commands import all_verbs
from denseil.common.arguments import raised_by_us
from tests.fuzz.hostile import VALUES, WORDS, OwnError, shown
from tests.fuzz.targets import Target

try:
    import resource
except ModuleNotFoundError:  # Windows
    resource = None

MEMORY = 4 * 2**30
OURS = (ValueError, TypeError, KeyError, OSError, ImportError, MemoryError, NotImplementedError, RuntimeError)
ROOT = Path(denseil.__file__).parent
CLOSES = "closes a stream of the process"
SECONDS = 60  # what hangs is meant; a busy machine makes anything take ten


class Fault(NamedTuple):
    """A call that ended as none should."""

    target: str
    arguments: str
    kind: str  # where it broke, one kind of fault for many values
    detail: str


class SlowError(Exception):
    """A call that took longer than `SECONDS`."""


def call_once(target: Target, rng: random.Random) -> Fault | None:
    """Replace one argument, sometimes two, by hostile values."""
    names = [*target.arguments, *target.optional]
    if not names:
        return None
    chosen = rng.sample(names, k=min(len(names), rng.choice((1, 1, 1, 2))))
    hostile = {name: rng.choice(VALUES) for name in chosen}
    given = {name: make() for name, make in target.arguments.items() if name not in hostile} | hostile
    arguments = ", ".join(f"{name}={shown(value)}" for name, value in hostile.items())
    with kept_open() as closed:
        try:
            with quietly(), no_longer_than(SECONDS), no_more_memory_than(MEMORY):
                answer = target.call(**given)
                if isinstance(answer, Iterator):
                    deque(answer, maxlen=0)  # a generator has not begun yet
        except Exception as error:
            if reason := foreign(error):
                return Fault(target.name, arguments, *reason)
    return Fault(target.name, arguments, CLOSES, str(closed)) if closed else None


@contextlib.contextmanager
def kept_open() -> Iterator[list[int]]:
    """Open stdin, stdout and stderr again if a call closed them, since it took a number for a file, and list them."""
    kept = {number: os.dup(number) for number in (0, 1, 2)}
    closed: list[int] = []
    try:
        yield closed
    finally:
        for number, copy in kept.items():
            try:
                os.fstat(number)
            except OSError:
                closed.append(number)
                os.dup2(copy, number)
            os.close(copy)


def foreign(error: BaseException) -> tuple[str, str] | None:
    """Why an error is not one of ours: its type, or where it was raised, or that it says nothing; None if it is."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if ROOT in Path(frame.filename).parents]
    place = f"{Path(ours[-1].filename).relative_to(ROOT.parent)}:{ours[-1].lineno}" if ours else "no frame of ours"
    text = f"{type(error).__name__}: {str(error)[:160]}"
    if isinstance(error, SlowError):
        return f"slow at {place}", text
    if isinstance(error, OSError) and error.filename:  # the system's own, which names the file
        return None
    if isinstance(error, OwnError):  # the caller's
        return None
    if not raised_by_us(error) or not isinstance(error, OURS):
        return place, text
    if "\n" in str(error) and "are shown" not in str(error):  # but for lists of problems in a dataset
        return f"several lines at {place}", text
    return (f"says nothing at {place}", text) if not str(error).strip() else None


def call_verb(rng: random.Random, commands: dict[str, list[str]]) -> Fault | None:
    """Replace one or two words of a command that works, or add an option with a hostile value."""
    name = rng.choice(list(commands))
    words = list(commands[name])
    verb = all_verbs().verbs[name]
    options = [
        action.option_strings[-1] for subject in verb.subjects for action in subject.actions if action.option_strings
    ]
    if rng.random() < 0.5 and options:
        words += [rng.choice(options), rng.choice(WORDS)]
    else:
        words[rng.randrange(len(name.split()), len(words))] = rng.choice(WORDS)
    out, err = io.StringIO(), io.StringIO()
    with kept_open() as closed:
        try:
            with (
                no_longer_than(SECONDS),
                no_more_memory_than(MEMORY),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                status = main(words)
        except SystemExit:
            return None
        except BaseException as error:
            return Fault(f"denseil {name}", str(words)[:200], "escaped", f"{type(error).__name__}: {error}"[:160])
    if closed:
        return Fault(f"denseil {name}", str(words)[:200], CLOSES, str(closed))
    lines = [line for line in err.getvalue().split("\n") if line.startswith("denseil: ")]
    if status not in (0, 1, 2) or "Traceback" in err.getvalue():
        return Fault(f"denseil {name}", str(words)[:200], f"status {status}", err.getvalue()[-160:])
    last = lines[-1].removeprefix("denseil: ") if lines else ""
    if status == 2 and (not last or last.partition(":")[0].endswith("Error")):
        return Fault(f"denseil {name}", str(words)[:200], f"foreign {last.partition(':')[0]}", last[:160])
    return None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without prints and warnings."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Raise `SlowError` in a call that takes longer, where the platform has timers."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SlowError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def no_more_memory_than(size: int) -> Iterator[None]:
    """Let a call have so many more bytes of address space, where the platform can tell."""
    used = Path("/proc/self/statm")
    if resource is None or not used.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(used.read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def by_kind(faults: list[Fault]) -> dict[tuple[str, str], list[Fault]]:
    """Faults of one target at one place, together."""
    found: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        found.setdefault((fault.target, fault.kind), []).append(fault)
    return dict(sorted(found.items()))

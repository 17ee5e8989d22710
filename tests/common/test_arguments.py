"""Arguments of a wrong type are named; errors of ours and right arguments pass through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch

from denseil.common.arguments import checked, checked_class, fits

if TYPE_CHECKING:
    from nowhere import Nothing


@checked
def work(
    query: torch.Tensor | None = None,
    *,
    block: tuple[int, int] = (1, 1),
    metric: Literal["cosine", "euclidean"] = "cosine",
    names: Sequence[str] = (),
    path: str | Path = "x",
    other: Nothing | None = None,
) -> int:
    if query is not None:
        query.dim()
    Path(path)
    for name in names:
        name.lower()
    return block[0] // block[1] + len(metric.lower())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"query": 3}, "work: query=3 is of type int; it must be torch.Tensor | None"),
        ({"block": ()}, "block=() is of type tuple; it must be tuple[int, int]"),
        ({"block": None}, "block=None"),
        ({"metric": 3}, "metric=3"),
        ({"names": [1]}, "names=[1]"),
        ({"path": None}, "path=None is of type NoneType; it must be str | Path"),
        ({"path": object(), "names": "abc"}, "names='abc'"),
    ],
)
def test_the_argument_is_named(arguments: dict[str, Any], text: str):
    with pytest.raises(TypeError) as found:
        work(**arguments)
    assert text in str(found.value)


def test_what_is_right_or_unknown_passes():
    assert work(torch.zeros(2), names=["a"], path=Path("x"), other=object()) == 7
    with pytest.raises(ZeroDivisionError):  # the types are right: not for us to explain
        work(block=(1, 0))
    with pytest.raises(TypeError, match="unexpected keyword"):
        work(blok=(1, 1))  # type: ignore[call-arg]


def test_errors_of_ours_stay_as_they_are():
    from denseil.layers import PartPool

    with pytest.raises((TypeError, ValueError), match="num_parts=None"):
        PartPool(None)  # type: ignore[arg-type]


def test_an_error_in_the_message_of_one_of_ours_is_explained_too():
    from denseil.viz import attention_by_frame

    with pytest.raises(TypeError, match=r"attention=tensor.* it must be AttentionMap"):
        attention_by_frame(torch.ones(1, 1, 1, 1), clip=-1)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_a_generator_would_refuse_is_named(seed: int):
    from denseil.data import PKSampler, make_splits

    for call in (lambda: make_splits(["a", "b"], seed=seed), lambda: PKSampler([], 1, 1, seed=seed)):
        with pytest.raises((TypeError, ValueError), match=f"seed={seed}.*(give an integer from 0|64 bits)"):
            call()


def test_a_dataclass():
    @checked_class
    @dataclass(frozen=True)
    class Sizes:
        sizes: Sequence[int] = (1, 2)

        def __post_init__(self) -> None:
            sum(self.sizes)

    assert Sizes((1,)).sizes == (1,)
    with pytest.raises(TypeError, match="Sizes: sizes=3 is of type int; it must be Sequence"):
        Sizes(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "hint", "answer"),
    [
        *((1, float, True), (np.float32(1), float, True), ("1", float, False), (np.zeros(2), float, False)),
        *(
            (True, int, False),
            (int, int, False),
            (np.int64(1), int, True),
            (1.0, int, False),
            (torch.zeros(2), int, False),
        ),
        *((None, int | None, True), ("a", Literal["a", 1], True), (1.0, Literal["a"], False)),
        *(([1], Sequence[int], True), (["a"], Sequence[int], False), ("a", Sequence[str], False)),
        *(((1, 2), tuple[int, int], True), ((1,), tuple[int, int], False), ((1, 2, 3), tuple[int, ...], True)),
        *(({"a": 1}, Mapping[str, int], True), ([], Mapping[str, int], False), (len, Callable[..., int], True)),
        *((3, Any, True), (3, object, True)),
    ],
)
def test_fits(value: object, hint: object, answer: bool):
    assert fits(value, hint) is answer


def test_plain_arguments_are_compared_before_the_call():
    called = []

    @checked
    def run(flag: bool, count: int = 1, rate: float | None = None, name: str = "") -> None:
        called.append((flag, count, rate, name))

    run(np.bool_(True), np.int64(3), rate=np.float32(0.5))
    run(False, rate=1)
    for wrong in ({"flag": "no"}, {"flag": 1}, {"count": True}, {"count": 1.0}, {"rate": True}, {"name": 3}):
        with pytest.raises(TypeError, match=rf"run: {next(iter(wrong))}="):
            run(**{"flag": True, **wrong})
    assert len(called) == 2


def test_a_call_with_other_faults_is_left_to_python():
    @checked
    def run(first: list[str], count: int = 1) -> None: ...

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
        run(count="3")  # type: ignore[call-arg,arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'nope'"):
        run(["a"], count="3", nope=1)  # type: ignore[call-arg,arg-type]


def test_a_generator_is_explained_when_it_runs():
    @checked
    def each(values: list[int]) -> Iterator[int]:
        for value in values:
            yield value + 1

    assert list(each([1])) == [2]
    with pytest.raises(TypeError, match="values=3 is of type int"):
        list(each(3))


@pytest.mark.parametrize("time", [1.7e12, 1e11])
def test_times_in_milliseconds_are_refused_wherever_a_time_goes_in(time: float):
    from denseil.data import Tracklet
    from denseil.linking import OnlineLinker, link

    for give in (
        lambda: Tracklet(["a.jpg"], 1, 1, "a", time, time + 1),
        lambda: link(np.eye(2), camids=[1, 2], start=[0, time], threshold=0.5),
        lambda: OnlineLinker(threshold=0.5).update(1, 1, [1.0, 0.0], time=time),
    ):
        with pytest.raises(ValueError, match="divide milliseconds by 1,000"):
            give()
    assert Tracklet(["a.jpg"], 1, 1, "a", 1.7e9, 1.7e9 + 1).start == 1.7e9

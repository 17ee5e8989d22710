"""Check of a dataset: complete, readable, and equal to the published counts."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from denseil.common.arguments import checked, shown
from denseil.common.text import plain
from denseil.data.datasets import find_reader, read_by_name
from denseil.data.images import decode_image
from denseil.data.tracklet import Tracklet, VideoReIDDataset


class Count(NamedTuple):
    """A count and its published value; None if there is none or it is not compared."""

    what: str
    found: int
    published: int | None

    @property
    def differs(self) -> bool:
        """Whether the published value differs."""
        return self.published not in (None, self.found)


@dataclass(frozen=True)
class DatasetReport:
    """Result of `check_dataset`. Prints as a table of counts and a list of problems."""

    name: str
    root: str
    counts: tuple[Count, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no problem and no count differs."""
        return not self.problems and not any(count.differs for count in self.counts)

    def __str__(self) -> str:
        lines = [f"{self.name} at {plain(self.root)}"]
        if self.counts:
            lines.append(f"{'':34}{'found':>12}{'published':>12}")
        for count in self.counts:
            published = "-" if count.published is None else f"{count.published:,}"
            lines.append(f"{count.what:34}{count.found:12,}{published:>12}{'  differs' if count.differs else ''}")
        lines += [f"problem: {plain(problem)}" for problem in self.problems]
        differing = sum(count.differs for count in self.counts)
        lines.append("ok" if self.ok else f"problems: {len(self.problems)}, counts that differ: {differing}")
        return "\n".join(lines)


@checked
def check_dataset(
    name: str,
    root: Path | str,
    *,
    images: bool = True,
    counts: Literal["published", "none"] = "published",
    **options: Any,
) -> DatasetReport:
    """Read a dataset and list all problems.

    Args:
        name: As for `read_dataset`.
        root: As for `read_dataset`.
        images: Whether to decode every frame. If False, no image file is opened.
        counts: "published" to compare with the published counts, or "none" (for a part of a dataset, or your own data).
        **options: As for `read_dataset`.

    Raises:
        KeyError: If the name is unknown.
    """
    if counts not in ("published", "none"):
        raise ValueError(f"counts must be 'published' or 'none', got {shown(counts)}")
    reader = find_reader(name)
    try:
        dataset = read_by_name(name, Path(root), options)
    except (FileNotFoundError, ValueError) as error:
        return DatasetReport(name, str(root), (), (str(error),))
    problems = list(dataset.problems)
    if images:
        tracklets = [*dataset.train, *dataset.query, *dataset.gallery]
        with ThreadPoolExecutor() as pool:
            for found in pool.map(_image_problems, tracklets):
                problems += found
    published = reader.published if counts == "published" else {}
    table = tuple(Count(what, found, published.get(what)) for what, found in count_dataset(dataset).items())
    return DatasetReport(name, str(root), table, tuple(problems))


def count_dataset(dataset: VideoReIDDataset) -> dict[str, int]:
    """Count what publications report. Junk (pid -1) counts as test, not as gallery."""
    test = [*dataset.query, *dataset.gallery]
    gallery = sum(tracklet.pid != -1 for tracklet in dataset.gallery)
    return {
        "train identities": len({tracklet.pid for tracklet in dataset.train}),
        "train tracklets": len(dataset.train),
        "train frames": _frames(dataset.train),
        "test tracklets": len(test),
        "test frames": _frames(test),
        "junk tracklets (pid -1)": sum(tracklet.pid == -1 for tracklet in test),
        "distractor tracklets (pid 0)": sum(tracklet.pid == 0 for tracklet in test),
        "query tracklets": len(dataset.query),
        "gallery tracklets without queries": gallery,
        "gallery tracklets with queries": gallery + len(dataset.query),
        "cameras": len({tracklet.camid for tracklet in [*dataset.train, *test]}),
    }


def _frames(tracklets: Sequence[Tracklet]) -> int:
    return sum(len(tracklet.frames) for tracklet in tracklets)


def _image_problems(tracklet: Tracklet) -> list[str]:
    """List missing frames in one line, and each frame that does not decode in a line."""
    faults = {frame: fault for frame in tracklet.frames if (fault := _fault(frame))}
    missing = [frame for frame, fault in faults.items() if isinstance(fault, FileNotFoundError)]
    problems = [str(fault) for fault in faults.values() if not isinstance(fault, FileNotFoundError)]
    if missing:
        problems.insert(
            0, f"{tracklet.name}: {len(missing)} of {len(tracklet.frames)} frames missing, the first {missing[0]}"
        )
    return problems


def _fault(frame: str) -> Exception | None:
    try:
        decode_image(frame)
    except (FileNotFoundError, ValueError) as error:
        return error
    return None

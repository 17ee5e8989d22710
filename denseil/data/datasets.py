"""`read_dataset`: reading a dataset by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from denseil.common.arguments import checked
from denseil.common.text import did_you_mean
from denseil.data.readers import dukemtmc_videoreid, ilids_vid, ls_vid, manifest, mars, prid2011
from denseil.data.readers.files import first_of
from denseil.data.splits import Split, make_splits, read_splits
from denseil.data.tracklet import VideoReIDDataset, as_dataset


class Reader(NamedTuple):
    """Reader of a dataset, and its published counts."""

    read: Callable[..., VideoReIDDataset]
    published: Mapping[str, int]


READERS: dict[str, Reader] = {
    "dukemtmc_videoreid": Reader(dukemtmc_videoreid.read_dukemtmc_videoreid, dukemtmc_videoreid.PUBLISHED),
    "ilids_vid": Reader(ilids_vid.read_ilids_vid, ilids_vid.PUBLISHED),
    "ls_vid": Reader(ls_vid.read_ls_vid, ls_vid.PUBLISHED),
    "manifest": Reader(manifest.read_manifest, {}),
    "mars": Reader(mars.read_mars, mars.PUBLISHED),
    "prid2011": Reader(prid2011.read_prid2011, prid2011.PUBLISHED),
}


_OWN = frozenset(READERS)
_Read = TypeVar("_Read", bound=Callable[..., VideoReIDDataset])


@checked
def register_dataset(name: str) -> Callable[[_Read], _Read]:
    """Register a function that reads a dataset, under a name for `read_dataset`, configs and the command line.

    It is called with the root, a `Path`, and its own options. Registering a name again replaces it.

    Args:
        name: The name; case, `-` and `_` are ignored.

    Raises:
        ValueError: If the name is empty, or that of a reader of the library.

    Examples:
        ```python
        @denseil.data.register_dataset("mine")
        def read_mine(root: Path, *, scene: int = 1) -> VideoReIDDataset:
            tracklets = [Tracklet(Frames(...), pid=7, camid=scene), ...]
            return VideoReIDDataset(train=[], query=tracklets[:1], gallery=tracklets[1:])
        ```
    """
    taken = {_plainly(own) for own in _OWN}
    if not _plainly(name) or _plainly(name) in taken:
        raise ValueError(f"dataset name {name!r} is taken or empty: choose another")

    def register(read: _Read) -> _Read:
        for known in [known for known in READERS if _plainly(known) == _plainly(name)]:
            del READERS[known]
        READERS[name] = Reader(read, {})
        return read

    return register


def find_reader(name: str) -> Reader:
    """Return the reader of a name; case, `-` and `_` are ignored.

    Raises:
        KeyError: If the name is unknown.
    """
    return READERS[_known_name(name)]


def _known_name(name: str) -> str:
    """Return a reader's name as `READERS` has it; case, `-` and `_` are ignored."""
    found = {_plainly(known): known for known in READERS}.get(_plainly(name))
    if found is None:
        hint = did_you_mean(name.lower(), READERS)
        raise KeyError(f"unknown dataset {name!r}: {f'{hint} ' * bool(hint)}known are {', '.join(sorted(READERS))}")
    return found


def _plainly(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


@checked
def read_dataset(name: str, root: Path | str, **options: Any) -> VideoReIDDataset:
    """Read the tracklets of a dataset, without opening images or shuffling.

    Args:
        name: `mars`, `ilids_vid`, `prid2011`, `ls_vid`, `dukemtmc_videoreid`, `manifest`, or one of `register_dataset`.
        root: Its folder or file; see the reader of each dataset for the layout.
        **options: Options of the reader, such as `split=3` for iLIDS-VID.

    Raises:
        KeyError: If the name is unknown.
        TypeError: If the reader has no such option, a value is of the wrong type, or a reader of one's own returns no
            lists of tracklets.
        FileNotFoundError: If files are missing.
        ValueError: If files are damaged or inconsistent; the message lists the problems.
    """
    dataset = read_by_name(name, Path(root), options)
    if dataset.problems:
        shown = "\n".join(f"  {problem}" for problem in dataset.problems[:20])
        raise ValueError(f"{len(dataset.problems)} problems in {name} at {root} (the first 20 are shown):\n{shown}")
    return _with_source(dataset)


def read_by_name(name: str, root: Path, options: Mapping[str, object]) -> VideoReIDDataset:
    """Call the reader of a name, without a look at the problems that it found; errors are those of `read_dataset`."""
    read = find_reader(name).read
    known = inspect.signature(read).parameters.values()
    names = [each.name for each in known][1:]
    wrong = [option for option in options if option not in names]
    if wrong and not any(each.kind is each.VAR_KEYWORD for each in known):
        raise TypeError(f"the reader of {name} has no option {wrong[0]!r}: it has {', '.join(names) or 'none'}")
    return as_dataset(checked(read)(root, **options), "train", "query", "gallery")


def _with_source(dataset: VideoReIDDataset) -> VideoReIDDataset:
    """Give tracklets without a source the dataset's name as theirs, for their ids."""
    train, query, gallery = (
        [one if one.source else replace(one, source=dataset.name) for one in part]
        for part in (dataset.train, dataset.query, dataset.gallery)
    )
    return replace(dataset, train=train, query=query, gallery=gallery)


@checked
def dataset_splits(name: str, root: Path | str, *, new: int | None = None, seed: int = 0) -> list[Split]:
    """Read the splits of iLIDS-VID or PRID-2011, or make new ones.

    Args:
        name: `ilids_vid` or `prid2011`.
        root: Its folder.
        new: Number of splits to make; None reads the dataset's split file.
        seed: Random seed of new splits.

    Raises:
        KeyError: If the dataset has no splits.
        FileNotFoundError: If its frames, or the split file to read, are missing.
    """
    known = _known_name(name)
    if known == "ilids_vid":
        people, files = list(ilids_vid.ilids_vid_people(Path(root))), ilids_vid.SPLIT_FILES
    elif known == "prid2011":
        people, files = list(prid2011.prid2011_people(Path(root))), prid2011.SPLIT_FILES
    else:
        raise KeyError(f"only ilids_vid and prid2011 are split at random, got {name!r}")
    if new is not None:
        return make_splits(people, num_splits=new, seed=seed)
    return read_splits(first_of(Path(root), files, what="split file"), people)

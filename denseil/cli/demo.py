"""The verb that shows what the library does."""

from __future__ import annotations

from pathlib import Path

from denseil.cli import options, values
from denseil.cli.computing import begin
from denseil.cli.output import say
from denseil.cli.parser import UsageError, Verbs
from denseil.common.text import plain


def declare(verbs: Verbs) -> None:
    """Declare `demo`."""
    verb = verbs.add(
        "demo",
        demo,
        "Write a page that shows what the weights in the package do.",
        examples=(
            "denseil demo",
            "denseil demo --real tests/data/mars_tiny",
            "denseil demo --video street.mp4 --tracks street.txt",
        ),
    )
    what = verb.subject("input and output")
    what.add("--real", type=values.path, metavar="FOLDER", help="real tracklets in the layout of MARS, to rank")
    what.add("--video", type=values.path, metavar="FILE", help="a video of your own, with --tracks")
    what.add(
        "--tracks",
        type=values.path,
        metavar="FILE",
        help="a tracker's boxes in it: frame,id,left,top,width,height in each line",
    )
    what.add("-o", "--output", type=values.new_folder, default=Path("demo"), metavar="FOLDER", help="output folder")
    options.device(verb.subject("computing"))
    options.general(verb)


def demo(real: Path | None, video: Path | None, tracks: Path | None, output: Path, device: str) -> int:
    """Write a page that shows what the weights in the package do."""
    if (video is None) != (tracks is None):
        raise UsageError("--video FILE and --tracks FILE go together: give both or neither")
    import torch

    from denseil.demo import demo as run

    where, _ = begin(device, 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the batches are small; on a busy machine threads would wait for each other
    try:
        page = run(real, video=video, tracks=tracks, output=output, device=where)
    finally:
        torch.set_num_threads(threads)
    say(plain(f"the report is in {page}"))
    return 0

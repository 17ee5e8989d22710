"""The tables in docs that code can compute. `python -m tests.docs_tables` writes them; tests compare them."""

from pathlib import Path

import torch

import denseil
from tests.models.test_frame_encoder import FAMILIES, HAS_ONE_STRIDE, TAKES_THE_EDIT

DOCS = Path(__file__).parent.parent / "docs"
# GFs of the paper's Tables 1c (R, at d = 2048) and 1e (d, at R = 4); R = 4 and d = 2048 are one model.
PAPER = {
    "R = 0 (baseline)": ({"depth": 0}, 16.39),
    "R = 1": ({"depth": 1}, 17.43),
    "R = 2": ({"depth": 2}, 18.31),
    "R = 3": ({"depth": 3}, 19.18),
    "R = 4, d = 2048": ({}, 20.06),
    "d = 256": ({"dim": 256}, 16.52),
    "d = 512": ({"dim": 512}, 16.75),
    "d = 1024": ({"dim": 1024}, 17.48),
}


def cost_table() -> str:
    """Ours beside the paper's, for 4 frames of 256 x 128."""
    rows = ["| row | paper, GFs | ours, GMACs | of these decoder | ratio | parameters |", "|---|---|---|---|---|---|"]
    for name, (arguments, paper) in PAPER.items():
        with torch.device("meta"):
            model = denseil.create_model("denseil_r50", **arguments)
        cost = denseil.profile(model, frames=4)
        ours = cost.macs / 1e9
        rows.append(
            f"| {name} | {paper:.2f} | {ours:.2f} | {cost.decoder_macs / 1e9:.2f} | {ours / paper:.3f}"
            f" | {cost.params / 1e6:.1f} M |"
        )
    return "\n".join(rows)


def backbone_table() -> str:
    """The families that the tests run, and which take `last_stride=1`."""
    rows = ["| family | tried with | `last_stride=1` |", "|---|---|---|"]
    for family, (name, _) in FAMILIES.items():
        one = "has one stride: nothing to remove"
        edit = "yes" if family in TAKES_THE_EDIT else one if family in HAS_ONE_STRIDE else "no: raises"
        rows.append(f"| {family} | `{name}` | {edit} |")
    return "\n".join(rows)


TABLES = {"measurements/cost.md": cost_table, "backbones.md": backbone_table}


def between_markers(text: str, table: str) -> str:
    """The page with what stands between its markers replaced."""
    start, end = "<!-- table: start -->\n", "\n<!-- table: end -->"
    head, _, rest = text.partition(start)
    return head + start + table + end + rest.partition(end)[2]


if __name__ == "__main__":
    for page, make in TABLES.items():
        path = DOCS / page
        path.write_text(between_markers(path.read_text(), make()))

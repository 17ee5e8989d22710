"""The rooms of the package and who imports whom, read off the imports.

`python -m tests.docs_architecture` draws the picture and writes the table of docs/architecture.md.
"""

import grimp
from matplotlib.figure import Figure

from tests.docs_tables import DOCS, between_markers

PAGE = DOCS / "architecture.md"
FLOORS = (
    ("cli",),
    ("demo",),
    ("training",),
    ("linking",),
    ("gallery", "viz", "exporters", "runtime"),
    ("embedding",),
    ("synth",),
    ("models",),
    ("layers", "losses", "metrics", "data"),
    ("common",),
)


def room_imports() -> dict[str, list[str]]:
    """The rooms that each room imports, sorted, by direct imports of modules."""
    graph = grimp.build_graph("denseil")
    rooms = [room for floor in FLOORS for room in floor]
    found: dict[str, set[str]] = {room: set() for room in rooms}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            source, target = (f"{name}..".split(".")[1] for name in (module, other))
            if source != target and source in found and target in found:
                found[source].add(target)
    return {room: sorted(found[room], key=rooms.index) for room in rooms}


def table() -> str:
    """The imports as Markdown."""
    rows = [
        f"| `{room}` | {', '.join(f'`{other}`' for other in used) or 'none'} |" for room, used in room_imports().items()
    ]
    return "\n".join(["| subpackage | imports |", "|---|---|", *rows])


def direct(imports: dict[str, list[str]]) -> list[tuple[str, str]]:
    """The imports that do not follow from others: the transitive reduction."""

    def reached(room: str) -> set[str]:
        return {room}.union(*(reached(other) for other in imports[room]))

    return [
        (room, other)
        for room, used in imports.items()
        for other in used
        if not any(other in reached(between) for between in used if between != other)
    ]


def draw() -> None:
    """Draw the rooms floor by floor, with the imports that do not follow from others."""
    figure = Figure(figsize=(7, 6.5), layout="constrained")
    axes = figure.subplots()
    place = {
        room: ((column + 0.5) / len(floor) + (0.1 if len(floor) == 1 and row % 2 else 0), len(FLOORS) - row)
        for row, floor in enumerate(FLOORS)
        for column, room in enumerate(floor)
    }
    for room, other in direct(room_imports()):
        arrow = {"arrowstyle": "->", "color": "0.45", "shrinkA": 14, "shrinkB": 14}
        axes.annotate("", xy=place[other], xytext=place[room], arrowprops=arrow)
    for room, (x, y) in place.items():
        box = {"boxstyle": "round,pad=0.4", "facecolor": "#e8eef7", "edgecolor": "#35507a"}
        axes.text(x, y, room, ha="center", va="center", bbox=box, fontsize=12, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0.5, len(FLOORS) + 0.5))
    axes.axis("off")
    figure.savefig(DOCS / "images" / "architecture.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    PAGE.write_text(between_markers(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
    draw()

"""docs/architecture.md says what the imports say, and the files that it names are there."""

import ast
import re

from tests.docs_architecture import FLOORS, PAGE, room_imports, table
from tests.docs_tables import DOCS, between_markers


def test_the_table_is_that_of_the_imports():
    text = PAGE.read_text(encoding="utf-8")
    assert text == between_markers(text, table()), "run: python -m tests.docs_architecture"


def test_every_room_has_its_floor_and_imports_point_down():
    package = DOCS.parent / "denseil"
    rooms = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()} | {"demo"}
    assert rooms - {"recipes"} == {room for floor in FLOORS for room in floor}
    height = {room: row for row, floor in enumerate(FLOORS) for room in floor}
    for room, used in room_imports().items():
        assert all(height[other] > height[room] for other in used), room


def test_no_room_imports_what_another_keeps_to_itself():
    package = DOCS.parent / "denseil"
    found = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("denseil."):
                room, *others = str(node.module).split(".")[1:]
                names = [*others, *(alias.name for alias in node.names)]
                if room != path.relative_to(package).parts[0] and any(name.startswith("_") for name in names):
                    found += [f"{path.relative_to(package)}: {node.module} {names}"]
    assert not [line for line in found if "__version__" not in line]


def test_pixels_are_normalised_in_one_place():
    package = DOCS.parent / "denseil"  # a call with mean and std alone would forget the order of the channels
    call = re.compile(r"(?<![.\w])normalize\((?!self)")
    calls = {path.name for path in package.rglob("*.py") if call.search(path.read_text(encoding="utf-8"))}
    assert calls == {"interface.py", "transforms.py"}


def test_the_files_that_pages_name_exist():
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    for page in pages:
        for path in re.findall(r"`((?:denseil|tests|examples)/[\w/]+\.py)", page.read_text(encoding="utf-8")):
            assert (DOCS.parent / path).is_file(), f"{page.name}: {path}"

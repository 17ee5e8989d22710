"""The notebooks of `examples/notebooks`, executed, as pages of the docs.

`python -m tests.docs_notebooks` executes them and writes docs/notebooks and the pictures there (extra `docs`).
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from tests.docs_tables import DOCS

NOTEBOOKS = DOCS.parent / "examples" / "notebooks"
PAGES = DOCS / "notebooks"
NAMES = tuple(sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))


def execute(name: str, seconds: int = 300) -> Any:
    """Execute a notebook in its folder, with this interpreter, and return it with its outputs.

    MPLBACKEND is left out of its environment: with it, figures are not among the outputs.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=seconds, resources={"metadata": {"path": str(NOTEBOOKS)}})
    return client.execute(env={key: value for key, value in os.environ.items() if key != "MPLBACKEND"})


def page(name: str, notebook: Any) -> tuple[str, dict[str, bytes]]:
    """Convert an executed notebook to Markdown, and the pictures in it by file name."""
    from nbconvert import MarkdownExporter

    for cell in notebook.cells:  # without progress bars and warnings
        cell["outputs"] = [one for one in cell.get("outputs", ()) if one.get("name") != "stderr"]
    text, resources = MarkdownExporter().from_notebook_node(notebook)
    pictures: dict[str, bytes] = {}
    for file in re.findall(r"!\[png\]\((\S+)\)", text):
        own = f"{name}_{len(pictures) + 1}.webp"
        pictures[own] = _small(resources["outputs"][file])
        text = text.replace(f"![png]({file})", f"![output of the cell above]({own})")
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    text = re.sub(r"\n{4,}", "\n\n", text)
    text = re.sub(r"/\S*/tmp\w*/", "", text)  # the folder of this run
    where = f"examples/notebooks/{name}.ipynb"
    title, _, rest = text.strip().partition("\n")
    return f"{title}\n\nThis page is the notebook `{where}`, executed.\n{rest}\n", pictures


def _small(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        image.thumbnail((900, 900))
        file = io.BytesIO()
        image.convert("RGB").save(file, "WEBP", quality=80)
    return file.getvalue()


def main(names: list[str]) -> None:
    PAGES.mkdir(exist_ok=True)
    for name in names or NAMES:
        text, pictures = page(name, execute(name))
        for old in PAGES.glob(f"{name}_*.webp"):
            old.unlink()
        (PAGES / f"{name}.md").write_text(text, encoding="utf-8")
        for file, content in pictures.items():
            Path(PAGES, file).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Opening a gallery by its URI."""

from __future__ import annotations

from difflib import get_close_matches

from denseil.gallery.protocol import Gallery

STORES = ("s3", "gs", "az")
SERVERS = ("http", "https", "milvus")
SCHEMES = ("memory", *STORES, *SERVERS)


def open(uri: str, dim: int | None = None, model: str = "") -> Gallery:
    """Open a gallery, or create it.

    Args:
        uri: A folder, `s3://`, `gs://` or `az://` for LanceDB (extra `gallery`); `http(s)://` or `milvus://` for a
            Milvus server (extra `milvus`); `memory://` for a new one in memory.
        dim: Width of the vectors, to create the gallery if it does not exist; None to open an existing one.
        model: Identity of the model that makes the vectors, as `features_model` reads it from a file. A new gallery
            stores it; an existing one refuses another identity. "" skips the check.

    Raises:
        ConnectionError: If no server answers.
        FileNotFoundError: If the gallery does not exist and `dim` is None.
        ModuleNotFoundError: If the extra is not installed.
        ValueError: If the URI is of an unknown kind, the gallery has another model or width, or `dim` is below 1.
    """
    if dim is not None and dim < 1:
        raise ValueError(f"dim is {dim}; a gallery's vectors are at least 1 wide")
    scheme, mark, _ = str(uri).partition("://")
    if not mark:
        scheme = "path"
    if scheme in ("path", *STORES):
        from denseil.gallery.lance import LanceGallery

        return LanceGallery(str(uri), dim, model)
    if scheme in SERVERS:
        from denseil.gallery.milvus import MilvusGallery

        return MilvusGallery(uri, dim, model)
    if scheme == "memory":
        from denseil.gallery.memory import MemoryGallery

        if dim is None:
            raise FileNotFoundError("a gallery in memory is always a new one: say how wide its vectors are (dim)")
        return MemoryGallery(dim, model)
    close = get_close_matches(scheme, SCHEMES, 1)
    hint = f"did you mean {close[0]}://? " if close else ""
    raise ValueError(
        f"no gallery answers to {uri!r}: {hint}give a folder, or {', '.join(name + '://' for name in SCHEMES)}"
    )

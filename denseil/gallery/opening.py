"""From an address to a gallery."""

from __future__ import annotations

from difflib import get_close_matches

from denseil.gallery.protocol import Gallery

STORES = ("s3", "gs", "az")
SERVERS = ("http", "https", "milvus")
SCHEMES = ("memory", *STORES, *SERVERS)


def open(uri: str, dim: int | None = None, model: str = "") -> Gallery:
    """Open a gallery.

    Args:
        uri: a folder, or `s3://`, `gs://`, `az://`: LanceDB (extra `gallery`); `http(s)://` or `milvus://`: a Milvus
            server (extra `milvus`); `memory://`: a new one in memory.
        dim: width of the vectors. Given, the gallery is made where there is none; not given, it must be there.
        model: what makes the vectors, in words that name its weights, such as `features_model` reads from a file. A
            gallery that is made records it, and one that knows its own refuses another; "" asks for no check.

    Raises:
        ConnectionError: no server answers.
        FileNotFoundError: no gallery there, and no width given.
        ModuleNotFoundError: the extra is not installed.
        ValueError: an address of no known kind; a gallery of another model or width; a width below 1.
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

"""Opening a gallery by its URI."""

from __future__ import annotations

import os
from difflib import get_close_matches

from denseil.common.arguments import shown
from denseil.common.files import check_utf8
from denseil.common.text import plain
from denseil.gallery._milvus_rows import FILE, address_of
from denseil.gallery.fields import MAX_WIDTH, check_integer
from denseil.gallery.protocol import Gallery

STORES = ("s3", "gs", "az")
SERVERS = ("http", "https", "milvus")
SCHEMES = ("memory", *STORES, *SERVERS)


def check_two(source: str, target: str) -> None:
    """Check that two addresses, however they are spelt, are of two galleries.

    Raises:
        ValueError: If they are of one.
    """
    if not source.startswith("memory://") and _place(source) == _place(target):
        raise ValueError(f"{plain(source)} and {plain(target)} are one gallery; give another one as the target")


def _place(uri: str) -> str:
    """Spell the address of a gallery in one way."""
    scheme, mark, rest = uri.partition("://")
    if uri.startswith(FILE) or not mark:
        return os.path.realpath(rest if mark else os.path.expanduser(uri))  # noqa: PTH111 (a text)
    if scheme not in SERVERS:
        return uri.rstrip("/")
    server, collection = address_of(uri)
    return f"{server.lower()}/{collection}"


def open(uri: str, dim: int | None = None, model: str = "") -> Gallery:
    """Open a gallery, or create it.

    Args:
        uri: A folder, or `s3://`, `gs://`, `az://`: LanceDB (extra `gallery`); `http(s)://` or `milvus://`: a Milvus
            server (extra `milvus`); `memory://`: a new one in memory.
        dim: Width of the vectors. If given, the gallery is created if there is none; if None, it must exist.
        model: The model that makes the vectors: a name from `features_model` or `name_model`, or the identity from
            `denseil.models.model_id`. A new gallery records it, and one that has recorded its own refuses another;
            "" skips the check.

    Raises:
        ConnectionError: If no server answers.
        FileNotFoundError: If there is no gallery, and no width is given.
        ModuleNotFoundError: If the extra is not installed.
        TypeError: If the address or the model is not text, or the width is not an integer.
        ValueError: If the address is of no known kind, the gallery holds vectors of another model or width, or the
            width is below 1.
    """
    if not isinstance(uri, (str, os.PathLike)) or not isinstance(model, str):
        raise TypeError(f"uri is {shown(uri)}, model is {shown(model)}; both must be text")
    if dim is not None:
        dim = check_integer("dim", dim, least=1, most=MAX_WIDTH)
    scheme, mark, _ = str(uri).partition("://")
    if not mark:
        scheme = "path"
    if scheme in ("path", *STORES):
        check_utf8(uri, of="a gallery")
        from denseil.gallery.lance import LanceGallery

        return LanceGallery(str(uri), dim, model)
    if scheme in SERVERS:
        from denseil.gallery.milvus import MilvusGallery

        return MilvusGallery(uri, dim, model)
    if scheme == "memory":
        from denseil.gallery.memory import MemoryGallery

        if dim is None:
            raise FileNotFoundError("a gallery in memory is always a new one: give the width of its vectors (dim)")
        return MemoryGallery(dim, model)
    close = get_close_matches(scheme, SCHEMES, 1)
    hint = f"did you mean {close[0]}://? " if close else ""
    raise ValueError(
        f"{uri!r} is not the address of a gallery: {hint}give a folder, or "
        f"{', '.join(name + '://' for name in SCHEMES)}"
    )

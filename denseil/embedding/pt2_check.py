"""Checks of an untrusted .pt2 file before `torch.export.load`, which trusts its files.

`torch.export.load` unpickles example inputs, evaluates symbolic expressions and guards, and resolves operators by their
dotted names. A file could run code through any of them. Here the entries are read by torch's own reader, and anything
that an export of this library does not contain is refused.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import torch

_ENTRIES = re.compile(
    r"data/weights/(weight_\d+|\w+_weights_config\.json)|data/constants/(tensor_\d+|\w+_constants_config\.json)"
    r"|data/sample_inputs/\w+\.pt|models/\w+\.json|extra/\w+|archive_format|archive_version|byteorder|version"
    r"|\.data/(version|serialization_id|byteorder)"
)
_OPERATOR = re.compile(r"torch\.ops\.aten\.\w+\.\w+|_operator\.[a-z]+|torch\.sym_(max|min|not|float|int|sum|ite)")
_NAME = re.compile(r"[\w.]*")
_SYMBOL = r"Symbol\('[a-z]+\d+'(, (positive|integer|nonnegative)=(True|False))*\)"
_FUNCTIONS = (
    "Integer Rational Mul Add Pow Max Min Mod PythonMod FloorDiv CeilDiv CleanDiv IntTrueDiv FloatTrueDiv ToFloat "
    "CeilToInt FloorToInt TruncToInt RoundToInt PowByNatural floor ceiling Eq Ne Lt Le Gt Ge Equality Unequality "
    "LessThan GreaterThan StrictLessThan StrictGreaterThan true false"
)
_WORDS = re.compile(rf"\b({'|'.join(_FUNCTIONS.split())})\b|Float\('[\d.e-]+', precision=\d+\)")
_LEFT_OF_EXPRESSION = re.compile(r"([suz]f?\d+|[\d\s()+\-*/,<>=!])*")
_SIZE = re.compile(r"L\['\w+'\]|\.size\(\)|\.ndim|\[\d+\]|\b(and|or|not)\b")
_LEFT_OF_GUARD = re.compile(r"[\d\s()<>=!+\-*/%]*")
_TREES = {None, "builtins.tuple", "builtins.list", "builtins.dict"}


def check_program(data: bytes) -> None:
    """Refuse a .pt2 file that holds anything but tensors and a graph of torch's own operators.

    Args:
        data: The file.

    Raises:
        ValueError: If it is not such a file, or holds anything else; the message names it.
    """
    reader: Any = torch._C.PyTorchFileReader(io.BytesIO(data))
    for name in reader.get_all_records():
        if not _ENTRIES.fullmatch(name):
            raise ValueError(f"it holds {name!r}, which no export of denseil contains")
        if name.endswith(".pt"):
            _check_pickle(name, reader.get_record(name))
        elif name.endswith(".json"):
            content = json.loads(reader.get_record(name))
            for key, value in _leaves(content):
                _check_leaf(name, key, value)


def _check_pickle(name: str, data: bytes) -> None:
    try:
        torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:  # of pickle, of zip, of torch
        raise ValueError(f"its {name} is no plain tensors ({type(error).__name__}): it could run code") from error


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values of a JSON document with the nearest key above them; keys that are names of tensors, too."""
    if isinstance(value, dict):
        for inner, one in value.items():
            yield "key", inner
            yield from _leaves(one, inner)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, key)
    else:
        yield key, value


def _check_leaf(file: str, key: str, value: Any) -> None:
    if key == "use_pickle" and value:
        raise ValueError(f"its {file} names pickled tensors: they could run code")
    if not isinstance(value, str) or key in ("stack_trace", "nn_module_stack", "torch_fn", "source_fn_stack"):
        return
    if key in ("in_spec", "out_spec"):
        types = {one for name, one in _leaves(json.loads(value)) if name == "type"}
        allowed = types <= _TREES
    elif key == "target":
        allowed = bool(_OPERATOR.fullmatch(value))
    elif key == "expr_str":
        allowed = bool(_LEFT_OF_EXPRESSION.fullmatch(_WORDS.sub("", re.sub(_SYMBOL, "", value))))
    elif key == "guards_code":
        allowed = bool(_LEFT_OF_GUARD.fullmatch(_SIZE.sub("", value)))
    elif key in ("as_string", "torch_version", "verifiers"):
        allowed = True  # used as data
    else:
        allowed = bool(_NAME.fullmatch(value))
    if not allowed:
        raise ValueError(f"its {file} holds {key} {value[:60]!r}, which no export of denseil contains")

"""JSON into values and back, typed ones included, by msgspec: no other module asks msgspec for values.

msgspec prepares a type when it is first used. Two threads that do so at once crash the interpreter (0.22), so
each type is prepared here, under a lock.
"""

from __future__ import annotations

import json
import threading
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_preparing = threading.RLock()


def read_json(text: str) -> Any:
    """The value of a JSON text; raises json.JSONDecodeError, a ValueError, or RecursionError.

    What msgspec refuses is read by the standard library, whose errors are more precise.
    """
    try:
        return msgspec.json.decode(text)
    except ValueError:
        return json.loads(text)


def encode(value: object) -> bytes:
    """The JSON of a value; of what JSON doesn't know, such as a path, its text."""
    return msgspec.json.encode(value, enc_hook=str)


def decode(data: str | bytes, kind: type[T]) -> T:
    """A JSON text as a value of that type; raises ValueError or RecursionError for any other."""
    value: T = _decoder(kind).decode(data)
    return value


def convert(value: object, kind: type[T]) -> T:
    """A value of JSON's types as one of that type; raises ValueError or RecursionError for any other."""
    _decoder(kind)
    return msgspec.convert(value, kind, dec_hook=_from_text)


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    if (known := _decoders.get(kind)) is not None:
        return known
    with _preparing:
        return _decoders.setdefault(kind, msgspec.json.Decoder(kind, dec_hook=_from_text))


def _from_text(kind: type[Any], value: object) -> Any:
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"Expected `{kind.__name__}`")

"""JSON by msgspec; what it refuses is read by the standard library, whose errors are more precise."""

from __future__ import annotations

import json
from typing import Any

from msgspec.json import decode


def read_json(text: str) -> Any:
    """The value of a JSON text; raises json.JSONDecodeError, a ValueError, or RecursionError."""
    try:
        return decode(text)
    except ValueError:
        return json.loads(text)

"""A nightly's results read back, or an error with what is wrong and where."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from kubewire.core.errors import DefinitionError
from kubewire.core.files import UnsafeFileError, read_bounded
from kubewire.matrix.results import SCHEMA, Run

RUN_LIMIT = 256 << 20
"""Bytes of a nightly's run.json: some hundred cells, each with the checks of a large lab."""
WHICH = "name the folder of a nightly, or its run.json"


def read_run(path: Path) -> Run:
    """A run from its folder or its run.json; DefinitionError says what is wrong with the file."""
    file = path / "run.json" if path.is_dir() else path
    try:
        text = read_bounded(file, RUN_LIMIT)
    except FileNotFoundError as error:
        raise DefinitionError(f"can't be read: {error.strerror}", where=str(file), hint=WHICH) from error
    except UnsafeFileError as error:
        raise DefinitionError(error.what, where=str(file), hint=WHICH) from error
    try:
        return Run.model_validate_json(text)
    except ValidationError as error:
        raise _refusal(file, text, error) from error


def _refusal(file: Path, text: bytes, error: ValidationError) -> DefinitionError:
    try:
        schema = json.loads(text).get("schema")
    except json.JSONDecodeError as broken:
        place = f"{file}:{broken.lineno}:{broken.colno}"
        return DefinitionError(
            "this is not a result of a nightly, or it is incomplete", where=place, hint=WHICH
        )
    except (ValueError, AttributeError, RecursionError):
        return DefinitionError("this is not a result of a nightly", where=str(file), hint=WHICH)
    if schema != SCHEMA:
        return DefinitionError(
            f"its schema is {str(schema)[:40]}, and this kubewire reads {SCHEMA}",
            where=str(file),
            hint="take a nightly of this version of kubewire, or read it with the version that wrote it",
        )
    first = error.errors(include_url=False)[0]
    what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return DefinitionError(what, where=str(file), hint="it was edited, or damaged")

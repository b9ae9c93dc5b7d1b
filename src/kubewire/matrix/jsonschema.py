"""The JSON Schemas of matrix files and of results; `python -m kubewire.matrix.jsonschema` writes them."""

from __future__ import annotations

import json
from typing import Any

from kubewire.core import resources
from kubewire.lab.jsonschema import DRAFT, KUBERNETES, without_titles
from kubewire.matrix.results import Run
from kubewire.matrix.schema import Matrix

WORDS = {"type": "string", "pattern": r"^(all|latest( [1-9][0-9]?)? minors?)$"}


def matrix_json_schema() -> dict[str, Any]:
    """The schema of a matrix file as written: a word may replace a list of one."""
    schema = without_titles(Matrix.model_json_schema(by_alias=True))
    properties = schema["properties"]
    properties["versions"]["items"] = {"anyOf": [WORDS, *KUBERNETES["anyOf"]]}
    for key in ("versions", "modes", "labs", "providers"):
        whole = properties[key]
        about = {name: whole.pop(name) for name in ("default", "description") if name in whole}
        properties[key] = {"anyOf": [whole["items"], whole], **about}
    return {"$schema": DRAFT, "title": "A kubewire matrix", **schema}


def run_json_schema() -> dict[str, Any]:
    """The schema of run.json."""
    schema = without_titles(Run.model_json_schema(by_alias=True, mode="serialization"))
    return {"$schema": DRAFT, "title": "The results of a kubewire nightly", **schema}


def render(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    folder = resources.root() / "schemas"
    (folder / "matrix.schema.json").write_text(render(matrix_json_schema()), encoding="utf-8")
    (folder / "run.schema.json").write_text(render(run_json_schema()), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The JSON Schemas of lab files (for editors), matrix files and results; `make schema` writes them."""

from __future__ import annotations

import json
from typing import Any

from kubewire.core import resources
from kubewire.lab.schema import Lab
from kubewire.matrix.results import Run
from kubewire.matrix.schema import Matrix
from kubewire.providers.registry import AUTO, BUILT_IN

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SUBNETS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 2}]}
KUBERNETES = {"anyOf": [{"type": "string", "pattern": r"^v?1\.[0-9]+(\.[0-9]+)?$"}, {"type": "number"}]}
KUBERNETES_OR_UNSET = {"anyOf": [*KUBERNETES["anyOf"], {"type": "null"}]}
WORDS = {"type": "string", "pattern": r"^(all|latest( [1-9][0-9]?)? minors?)$"}


def lab_json_schema() -> dict[str, Any]:
    """The schema of a lab file: only `mode` is required, and a subnet may be a string."""
    schema = _without_titles(Lab.model_json_schema(by_alias=True))
    properties = schema["properties"]
    written_otherwise: dict[str, dict[str, Any]] = {
        "podSubnet": SUBNETS,
        "serviceSubnet": SUBNETS,
        "kubernetes": KUBERNETES,
        "controlPlane": KUBERNETES_OR_UNSET,
    }
    for key, written in written_otherwise.items():
        kept = {name: properties[key][name] for name in ("default", "description") if name in properties[key]}
        properties[key] = {**written, **kept}
    properties["provider"]["examples"] = [AUTO, *BUILT_IN]  # other packages may bring more
    schema["required"] = ["mode"]
    return {"$schema": DRAFT, "title": "A kubewire lab", **schema}


def matrix_json_schema() -> dict[str, Any]:
    """The schema of a matrix file as written: a word may replace a list of one."""
    schema = _without_titles(Matrix.model_json_schema(by_alias=True))
    properties = schema["properties"]
    properties["versions"]["items"] = {"anyOf": [WORDS, *KUBERNETES["anyOf"]]}
    properties["providers"]["items"]["examples"] = [*BUILT_IN]
    for key in ("versions", "modes", "labs", "providers"):
        whole = properties[key]
        about = {name: whole.pop(name) for name in ("default", "description") if name in whole}
        properties[key] = {"anyOf": [whole["items"], whole], **about}
    return {"$schema": DRAFT, "title": "A kubewire matrix", **schema}


def run_json_schema() -> dict[str, Any]:
    """The schema of run.json."""
    schema = _without_titles(Run.model_json_schema(by_alias=True, mode="serialization"))
    return {"$schema": DRAFT, "title": "The results of a kubewire nightly", **schema}


def _without_titles(node: Any) -> Any:
    """Remove the titles that pydantic generates from the keys; put descriptions on one line."""
    if isinstance(node, list):
        return [_without_titles(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.replace("\n", " ")
        if key == "description" and isinstance(value, str)
        else _without_titles(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }


SCHEMAS = {"lab": lab_json_schema, "matrix": matrix_json_schema, "run": run_json_schema}
"""Each kind of file, with what makes the schema in `schemas/KIND.schema.json`."""


def render(kind: str) -> str:
    """The text of a kind's schema file."""
    return json.dumps(SCHEMAS[kind](), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for each in SCHEMAS:
        path = resources.root() / "schemas" / f"{each}.schema.json"
        path.write_text(render(each), encoding="utf-8")

"""The JSON Schema of lab files, for editors. `make schema` writes it."""

from __future__ import annotations

import json
from typing import Any

from kubewire.core import resources
from kubewire.lab.schema import Lab

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SUBNETS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 2}]}
KUBERNETES = {"anyOf": [{"type": "string", "pattern": r"^v?1\.[0-9]+(\.[0-9]+)?$"}, {"type": "number"}]}

KUBERNETES_OR_UNSET = {"anyOf": [*KUBERNETES["anyOf"], {"type": "null"}]}


def lab_json_schema() -> dict[str, Any]:
    """The schema of a lab file: only `mode` is required, and a subnet may be a string."""
    schema = without_titles(Lab.model_json_schema(by_alias=True))
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
    schema["required"] = ["mode"]
    return {"$schema": DRAFT, "title": "A kubewire lab", **schema}


def render_json_schema() -> str:
    """The text of schemas/lab.schema.json."""
    return json.dumps(lab_json_schema(), indent=2, ensure_ascii=False) + "\n"


def without_titles(node: Any) -> Any:
    """Remove the titles that pydantic generates from the keys; put descriptions on one line."""
    if isinstance(node, list):
        return [without_titles(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.replace("\n", " ")
        if key == "description" and isinstance(value, str)
        else without_titles(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }


def main() -> None:
    """Write the schema into the repository."""
    path = resources.root() / "schemas" / "lab.schema.json"
    path.write_text(render_json_schema(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The schema of lab files teaches every field and agrees with the loader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kubewire.lab.loading import available_labs
from kubewire.matrix.jsonschema import lab_json_schema
from repository import GOLDEN

RECORDED = GOLDEN / "lab"
VALID = [*available_labs().values(), *sorted((RECORDED / "render").glob("*.yml"))]
SEEN_BY_EDITORS = ["unknown-keys", "numbers", "mode-missing", "mode-near", "wrong-kinds", "lists", "a-list"]


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for model in (schema, *schema["$defs"].values()):
        yield from model.get("properties", {}).items()


def test_every_field_has_a_description_and_its_default() -> None:
    computed = {"name", "mode", "podSubnet", "serviceSubnet", "featureGates"}
    for key, field in properties(lab_json_schema()):
        assert field.get("description"), key
        assert key in computed or "default" in field, key


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_labs_are_valid_in_editors(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), lab_json_schema())


@pytest.mark.parametrize("case", SEEN_BY_EDITORS)
def test_editors_see_what_is_wrong_in_one_field(case: str) -> None:
    data = yaml.safe_load((RECORDED / "errors" / f"{case}.yml").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, lab_json_schema())

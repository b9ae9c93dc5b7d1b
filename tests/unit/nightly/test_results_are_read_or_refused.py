"""run.json: its schema is documented and kept, it is read back whole, anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from junitparser import JUnitXml

from kubewire.core import resources
from kubewire.core.errors import DefinitionError
from kubewire.matrix.jsonschema import SCHEMAS, render, run_json_schema
from kubewire.matrix.results import EXIT_CODES, Run, status_of, to_json
from kubewire.nightly.folder import read_run
from kubewire.report.junit import run_to_junit
from kubewire.report.run_markdown import run_to_markdown


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_kept_schemas_are_what_the_models_say(name: str) -> None:
    kept = resources.root() / "schemas" / f"{name}.schema.json"
    assert kept.read_text() == render(name), "run: python -m kubewire.matrix.jsonschema"
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name]())


def test_a_run_is_valid_and_read_back_equal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(to_json(run))
    jsonschema.validate(json.loads(to_json(run)), run_json_schema())
    assert read_run(tmp_path) == run == read_run(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a result of a nightly, or it is incomplete"),
        (
            '{"schema": 1,\n "cells": [',
            "run.json:2:12: this is not a result of a nightly, or it is incomplete",
        ),
        ('{"schema": 2, "cells": []}', "its schema is 2, and this kubewire reads 1"),
        ('{"lab": "iptables"}', "its schema is None"),
        ('{"schema": 1}', "Field required"),
        ("[]", "this is not a result of a nightly"),
        ("[" * 5000, "this is not a result of a nightly"),
    ],
)
def test_another_file_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DefinitionError) as caught:
        read_run(tmp_path)
    assert caught.value.exit_code == 2
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.hint


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="No such file"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("statuses", "status", "code"),
    [
        (("passed", "skipped"), "passed", 0),
        (("passed", "failed", "error"), "failed", 1),
        (("passed", "error"), "error", 4),
        (("passed", "missing"), "error", 4),
        (("skipped",), "skipped", 3),
        ((), "skipped", 3),
    ],
)
def test_nothing_is_green_by_emptiness(run: Run, statuses: tuple[str, ...], status: str, code: int) -> None:
    cells = [run.cells[0].model_copy(update={"status": each}) for each in statuses]
    assert status_of(cells) == status
    assert EXIT_CODES[status_of(cells)] == code


def test_junit_has_a_suite_a_cell_and_the_evidence_in_the_failure(run: Run) -> None:
    document = JUnitXml.fromstring(run_to_junit(run).encode())
    suites = {suite.name: suite for suite in document}
    assert list(suites) == [cell.id for cell in run.cells]
    assert (document.tests, document.failures, document.errors, document.skipped) == (7, 1, 2, 2)
    red = suites["nodeport-iptables-netns-v1.36.3"]
    [failed] = [case for case in red if case.result]
    assert "-j MARK --set-xmark" in failed.result[0].text
    assert "observed: -A KUBE-MARK-MASQ <script>" in failed.result[0].text
    assert red.time == 5.5
    for suite in document:
        assert len(list(suite)) > 0, "an empty suite looks like a pass"


def test_markdown_shows_the_table_and_no_text_gets_out_of_its_block(run: Run) -> None:
    text = run_to_markdown(run)
    assert "| v1.36.3 | ❌ 1 failed | ⋯ |  |" in text
    assert "| v1.37.2 | ✅ 1 | 💥 | ⏭ |" in text
    assert "Partial" in text
    assert "1.38 is newer" in text.replace("\\", "")
    assert "\x1b" not in text
    outside = "".join(text.split("````")[0::2])
    assert "<script>" not in outside
    assert "](javascript" not in outside

"""A role's argument spec is what its tasks pass on to modules, in their words; --update-golden writes it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from repository import ROOT

VARIABLE = re.compile(r"\{\{ (\w+)(?![\w.])")
ROLES = sorted(path.parents[1].name for path in (ROOT / "roles").glob("*/tasks/main.yml"))
MODULES = sorted(f"kubewire.lab.{path.stem}" for path in (ROOT / "plugins" / "modules").glob("*.py"))


class Indented(yaml.SafeDumper):
    """Lists are indented, as ansible-lint wants it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ansible-doc says of each module."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "--json", "-t", "module", *MODULES],
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_HOME": str(tmp_path_factory.mktemp("home")),
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return {name: said["doc"] for name, said in json.loads(done.stdout).items()}


def options_of(tasks: list[dict[str, Any]], documented: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the role's variables are passed on to, by the variables' names."""
    return {
        found[1]: documented[module]["options"][option]
        for task in tasks
        for module in task.keys() & documented.keys()
        for option, value in (task[module] or {}).items()
        if (found := VARIABLE.match(str(value)))
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_role_takes_what_its_tasks_pass_on(
    role: str, documented: dict[str, Any], golden: Callable[[Path, str], None]
) -> None:
    """What a task makes something of first, such as `report_dir`, stands in the spec only, and stays."""
    path = ROOT / "roles" / role / "meta" / "argument_specs.yml"
    written = yaml.safe_load(path.read_text())
    for name, entry in written["argument_specs"].items():
        tasks = yaml.safe_load((ROOT / "roles" / role / "tasks" / f"{name}.yml").read_text())
        own = {key: option for key, option in entry.get("options", {}).items() if key in str(tasks)}
        derived = options_of(tasks, documented)
        entry["options"] = derived | {key: own[key] for key in own if key not in derived}
    golden(path, yaml.dump(written, Dumper=Indented, explicit_start=True, sort_keys=False, width=110))

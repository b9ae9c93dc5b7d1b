"""The collection builds, holds what it must and nothing else, and documents every action as it is."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

from repository import ROOT

BIN = Path(sys.executable).parent
ACTIONS = sorted(path.stem for path in (ROOT / "plugins" / "action").glob("*.py"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the built collection."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [BIN / "ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(folder)],
        check=True,
        capture_output=True,
        env={"PATH": f"{BIN}:/usr/bin:/bin", "ANSIBLE_HOME": str(folder / "home"), "HOME": str(folder)},
    )
    with tarfile.open(next(folder.glob("kubewire-lab-*.tar.gz"))) as archive:
        return {name.removeprefix("./") for name in archive.getnames()}


def test_it_holds_the_roles_playbooks_and_plugins(built: set[str]) -> None:
    wanted = {"MANIFEST.json", "playbooks/up.yml", "plugins/connection/node.py", "meta/runtime.yml"}
    assert wanted <= built
    assert {f"plugins/action/{name}.py" for name in ACTIONS} <= built


def test_it_holds_nothing_of_the_package_or_the_workshop(built: set[str]) -> None:
    tops = {name.split("/")[0] for name in built}
    assert not tops & {"src", "tests", "benchmarks", "pyproject.toml", "Makefile", "requirements", "dist"}
    assert not [name for name in tops if name.startswith(".") and name != "."]


def test_collection_and_package_share_a_version() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == package


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_documents_the_arguments_it_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / ".collections"))
    base = "ansible_collections.kubewire.lab.plugins"
    arguments = importlib.import_module(f"{base}.action.{name}").ActionModule.ARGUMENTS
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{name}.py").read_text())
    texts = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    options = yaml.safe_load(texts["DOCUMENTATION"])["options"]
    assert {
        key: {k: v for k, v in option.items() if k != "description"} for key, option in options.items()
    } == {key: dict(option) for key, option in arguments.items()}
    assert yaml.safe_load(texts["EXAMPLES"])

"""The collection builds, holds what it must and nothing else, and has one action for all modules."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

from repository import ROOT

BIN = Path(sys.executable).parent
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))


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
    assert wanted | {"plugins/action/step.py"} | {f"plugins/modules/{name}.py" for name in MODULES} <= built


def test_it_holds_nothing_of_the_package_or_the_workshop(built: set[str]) -> None:
    tops = {name.split("/")[0] for name in built}
    assert not tops & {"src", "tests", "benchmarks", "pyproject.toml", "Makefile", "requirements", "dist"}
    assert not [name for name in tops if name.startswith(".") and name != "."]


def test_collection_and_package_share_a_version() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == package


def test_every_module_is_routed_to_the_one_action() -> None:
    routed = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["plugin_routing"]["modules"]
    assert routed == {name: {"action_plugin": "kubewire.lab.step"} for name in MODULES}

"""One action does the step of every module, and refuses arguments that the module doesn't document."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from repository import ROOT

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    kubewire.lab.cluster: {recreate: perhaps}
  tasks:
    - kubewire.lab.cluster: {lab: x, recreate: false, retain: true}
      ignore_errors: true
    - kubewire.lab.cluster: {lab: x}
      ignore_errors: true
    - kubewire.lab.settle:
      ignore_errors: true
    - kubewire.lab.install: {packages: [";"]}
      ignore_errors: true
    - kubewire.lab.remove: {lab: nothing-of-this-name}
"""
REFUSED = (
    "Unsupported parameters for (kubewire.lab.cluster) module: retain. "
    "Supported parameters include: keep, lab, overrides, provider, recreate.",
    "The value 'perhaps' is not a valid boolean.",
    "missing required arguments: lab",
    "localhost: ';' is not a valid Debian package name",
)
OLD_NAMES = """
- hosts: localhost
  roles: [kubewire.lab.lab_host, kubewire.lab.cluster_{provider}, kubewire.lab.workload]
"""


@pytest.fixture(params=["checkout", "wheel"])
def collections(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where the collection is: in the checkout, and in what a wheel holds of it."""
    if request.param == "checkout":
        return ROOT / ".collections"
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    collection = tmp_path / "ansible_collections" / "kubewire" / "lab"
    for source, target in shipped["force-include"].items():
        place = collection / target.removeprefix("kubewire/_tree/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(ROOT / source)
    return tmp_path


def play(text: str, collections: Path, folder: Path, *options: str) -> str:
    """What ansible-playbook prints of a playbook that ends well."""
    (folder / "own.yml").write_text(text)
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), str(folder / "own.yml"), *options],
        cwd=folder,
        env=os.environ
        | {
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "XDG_STATE_HOME": str(folder / "state"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_wrong_arguments_are_refused_by_name_with_what_is_allowed(collections: Path, tmp_path: Path) -> None:
    """The defaults that a play has for one module are no other module's."""
    shown = play(PLAYBOOK, collections, tmp_path, "-v")
    assert [text for text in REFUSED if text not in shown] == []
    assert "failed=0" in shown
    assert "ignored=4" in shown


@pytest.mark.parametrize("provider", ["netns", "kind"])
def test_a_playbook_with_an_old_role_name_makes_its_cluster(provider: str, tmp_path: Path) -> None:
    shown = play(
        OLD_NAMES.format(provider=provider), ROOT / ".collections", tmp_path, "--list-tasks", "-e", "lab=x"
    )
    names = [line.split("\t")[0].strip() for line in shown.splitlines() if " : " in line]
    assert names.index("kubewire.lab.cluster : Create or repair the cluster") > names.index(
        "kubewire.lab.lab_host : Install missing OS packages"
    )


def test_a_play_may_make_several_clusters_by_an_old_role_name(tmp_path: Path) -> None:
    text = """
- hosts: localhost
  gather_facts: false
  tasks:
    - block:
        - ansible.builtin.include_role: {name: kubewire.lab.cluster_netns}
          vars: {lab: iptables, provider: netns}
      rescue: [{ansible.builtin.debug: {msg: failed}}]
    - block:
        - ansible.builtin.include_role: {name: kubewire.lab.cluster_netns}
          vars: {lab: nftables, provider: netns}
      rescue: [{ansible.builtin.debug: {msg: failed}}]
"""
    shown = play(
        text.replace("rescue: []", "rescue: [{ansible.builtin.debug: {msg: failed}}]"),
        ROOT / ".collections",
        tmp_path,
    )
    assert shown.count("TASK [kubewire.lab.cluster : Create or repair the cluster]") == 2

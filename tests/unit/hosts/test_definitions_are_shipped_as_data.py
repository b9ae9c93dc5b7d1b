"""What leaves here is the effective lab and its manifests; what is wrong with it is told here."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.app.on_this_machine import down_here
from kubewire.core import bundle
from kubewire.core.errors import DefinitionError
from kubewire.hosts import definitions
from kubewire.lab.loading import load_lab

LAB = "mode: iptables\nmanifests: [sub/extra.yml, ../extra.yml]\n"


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "labs"
    (folder / "sub").mkdir(parents=True)
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {a: '{{ 1 }}'}\n"
    (folder / "sub" / "extra.yml").write_text(text % "one")
    (tmp_path / "extra.yml").write_text(text % "two")
    (folder / "mine.yml").write_text(LAB)
    return folder / "mine.yml"


def test_the_same_lab_arrives(lab: Path) -> None:
    packed = definitions.pack(str(lab), {"httpbin.replicas": "7"})
    there = load_lab(definitions.unpack(packed))
    here = load_lab(str(lab), {"httpbin.replicas": "7"})
    assert there.model_copy(update={"manifests": ()}) == here.model_copy(update={"manifests": ()})
    assert [path.read_text() for path in there.manifests] == [path.read_text() for path in here.manifests]
    assert "{{ 1 }}" in there.manifests[0].read_text()


def test_another_file_of_the_same_name_has_a_place_of_its_own(lab: Path) -> None:
    first = definitions.unpack(definitions.pack(str(lab), {}))
    other = lab.parent.parent / "mine.yml"
    other.write_text("mode: nftables\n")
    assert definitions.unpack(definitions.pack(str(other), {})) != first
    assert definitions.unpack(definitions.pack(str(lab), {})) == first


def test_a_name_with_a_path_in_it_stays_in_its_folder(lab: Path) -> None:
    packed = definitions.pack(str(lab), {}) | {"manifests": {"../../evil.yml": "x"}}
    path = definitions.unpack(packed)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["evil.yml", "mine.yml"]


def test_errors_point_to_the_file_here(lab: Path) -> None:
    lab.write_text("mode: iptabels\n")
    with pytest.raises(DefinitionError, match=r"mine\.yml:1:7"):
        definitions.pack(str(lab), {})


def test_what_no_lab_uses_is_removed(lab: Path) -> None:
    path = definitions.unpack(definitions.pack(str(lab), {}))
    assert definitions.forget_unused() == [path.parent]
    assert not path.exists()


def test_kubewire_is_packed_whole_and_alike() -> None:
    names = bundle.members().keys()
    assert {"kubewire/__main__.py", "kubewire/_tree/playbooks/up.yml", "kubewire/_tree/ansible.cfg"} <= names
    assert "kubewire/_tree/requirements/runtime.txt" in names
    assert not [name for name in names if "__pycache__" in name]
    assert bundle.archive({"a": b"x"})[10:] == bundle.archive({"a": b"x"})[10:]


def test_down_leaves_no_definition() -> None:
    path = definitions.unpack(
        {"name": "iptables", "origin": "there", "text": "name: iptables\n", "manifests": {}}
    )
    down_here("iptables")
    assert not path.exists()

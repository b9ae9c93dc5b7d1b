"""Which lab is meant: by its name, by its file, also when that file no longer loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.paths import lab_dir
from kubewire.lab.lookup import lab_name, recorded_labs, required_record


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def remember(name: str, text: str) -> None:
    folder = lab_dir(name)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(text)


def test_a_name_in_labs() -> None:
    assert lab_name("nodeport") == "nodeport"
    assert recorded_labs() == []


def test_a_file_may_name_its_lab(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("name: other\nmode: iptables\n")
    assert lab_name("./x.yml") == "other"


def test_a_recorded_lab_needs_no_file(tmp_path: Path) -> None:
    remember("gone", json.dumps({"source": str(tmp_path / "gone.yml")}))
    assert lab_name("gone") == "gone"
    assert recorded_labs() == ["gone"]


def test_the_file_of_a_recorded_lab_may_be_broken(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("mode: [")
    remember("mine", json.dumps({"source": str(tmp_path / "x.yml")}))
    assert lab_name("./x.yml") == "mine"
    with pytest.raises(DefinitionError):
        lab_name("./y.yml")


def test_a_corrupt_record_hides_no_other_lab(tmp_path: Path) -> None:
    remember("bad", "{")
    (tmp_path / "x.yml").write_text("mode: iptables\n")
    assert lab_name("./x.yml") == "x"
    with pytest.raises(LabError, match="can't be read"):
        required_record("bad")


def test_a_lab_that_is_not_up_says_how_to_start_it() -> None:
    with pytest.raises(LabError) as caught:
        required_record("nodeport")
    assert caught.value.hint == "bring it up with: kubewire up nodeport"

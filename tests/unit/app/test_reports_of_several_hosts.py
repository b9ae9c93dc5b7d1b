"""`verify` of a lab on several hosts: one JSON object, or a folder with a file each; a table for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kubewire.app import on_hosts
from kubewire.app.playbook import Failure, Run
from kubewire.cli.main import app
from kubewire.core import exits
from kubewire.hosts import records
from kubewire.hosts.inventory import Target
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.ssh_target import SshTarget
from kubewire.verify.report import Report, ReportNode
from kubewire.verify.stored import to_stored

HOSTS = ("alice", "bob", "carol")


def away(name: str) -> RemoteLab:
    return RemoteLab(
        "iptables", "/labs/iptables.yml", SshTarget(name, ("ssh",), "python3", {}, ()), ("room.yml",)
    )


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A lab on three hosts and a playbook run of which alice and bob bring a report, carol none."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    for name in HOSTS:
        records.write(away(name))
    asked: list[str] = []

    def run_playbook(name: str, *_: object, target: Target, **__: object) -> Run:
        asked.append(name)
        run = Run(tmp_path / "run")
        run.reports.mkdir(parents=True, exist_ok=True)
        for host in target.hosts[:2]:
            report = Report("iptables", "netns", "v1.37.2", "iptables", "passed", (ReportNode("n"),), ())
            (run.reports / f"{host}.json").write_text(json.dumps(to_stored(report)))
        for host in target.hosts[2:]:
            run.fail(Failure("verify", host, "it is\ngone", 3))
        return run

    monkeypatch.setattr(on_hosts, "run_playbook", run_playbook)
    return asked


def verify(*arguments: str) -> int:
    return exits.exit_code(lambda: app(["verify", "iptables", *arguments]))


def test_json_is_one_object_and_the_table_is_told_beside_it(
    ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("--format", "json") == 3
    out, err = capsys.readouterr()
    told: dict[str, Any] = json.loads(out)
    assert {host: report["status"] for host, report in told.items()} == {
        "alice": "passed",
        "bob": "passed",
        "carol": "error",
    }
    assert told["carol"]["notes"] == ["carol: it is\ngone"]
    assert "FIRST FAILURE" in err


@pytest.mark.parametrize(("form", "ending"), [("json", "json"), ("junit", "xml"), ("text", "txt")])
def test_a_folder_gets_a_file_for_each_host(
    ran: list[str], tmp_path: Path, form: str, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "reports"
    assert verify("--format", form, "--output", str(folder)) == 3
    assert {path.name for path in folder.iterdir()} == {f"{host}.{ending}" for host in HOSTS}
    assert "FIRST FAILURE" in capsys.readouterr().out
    for path in folder.iterdir():
        if form == "json":
            assert json.loads(path.read_text())["lab"] == "iptables"
        if form == "junit":
            failures = ElementTree.parse(path).getroot().get("failures")
            assert failures == ("1" if path.stem == "carol" else "0")


@pytest.mark.parametrize("form", ["text", "json", "junit"])
def test_a_file_in_place_of_the_folder_is_refused_before_anything_runs(
    ran: list[str], tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept")
    for path in ("file", "file/below"):
        assert verify("--format", form, "--output", path) == 2
        assert f"kubewire: {path}: the folder for the hosts' reports can't be" in capsys.readouterr().err
    assert ran == []
    assert (tmp_path / "file").read_text() == "kept"


def test_junit_of_several_hosts_needs_a_folder(ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("--format", "junit") == 2
    assert "--output DIR" in capsys.readouterr().err
    assert ran == []


def test_one_of_the_hosts_is_told_as_everywhere(
    ran: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("--host", "bob", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "passed"
    assert verify("--host", "bob", "--format", "junit", "--output", "bob.xml") == 0
    assert (tmp_path / "bob.xml").is_file()

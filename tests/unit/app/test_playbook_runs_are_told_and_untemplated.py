"""A real run by ansible-runner: its failure comes back whole, and no value of the call becomes a template."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from kubewire.app.display import Display
from kubewire.app.playbook import ProgressFeed, Run, forget_logs, note_event, run_playbook


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def display() -> tuple[Display, io.StringIO]:
    stream = io.StringIO()
    return Display(Console(file=stream, width=100, highlight=False)), stream


def test_a_failing_task_tells_its_message_and_exit_code(state: Path) -> None:
    shown, stream = display()
    run = run_playbook(
        "up",
        "probe",
        {"lab": "iptables", "lab_overrides": {"description": "{{ 7 * 7 }}", "mode": "{{ 6 * 6 }}"}},
        shown,
    )
    assert run.failure is not None
    assert run.failure.exit_code == 2
    assert "--mode {{ 6 * 6 }}" in run.failure.message
    assert run.failure.task == "Find missing OS packages"
    assert "✘ Find missing OS packages" in stream.getvalue()
    assert "36" not in run.failure.message

    log = (run.folder / "run" / "stdout").read_text()
    assert "--mode" in log
    left = {path.name for path in run.folder.rglob("*")}
    assert not left & {"command", "extravars", "job_events", "home", "collections"}
    forget_logs("probe")
    assert list(state.iterdir()) == []


def event(kind: str, **data: object) -> dict[str, object]:
    return {"event": kind, "event_data": data}


def test_events_make_steps_changes_and_the_first_failure(tmp_path: Path) -> None:
    shown, stream = display()
    run = Run(tmp_path)
    for each in (
        event("playbook_on_task_start", task="lab : Make it", task_action="kubewire.lab.cluster"),
        event("runner_on_ok", host="localhost", res={"changed": True, "changes": ["a: [red]made[/red]"]}),
        event("playbook_on_task_start", task="Skip it", task_action="ansible.builtin.apt"),
        event("runner_on_skipped", host="localhost", res={}),
        event("playbook_on_task_start", task="Break it", task_action="x"),
        event("runner_on_failed", host="n", task="Break it", res={"msg": "why", "kubewire_exit_code": 3}),
        event("runner_on_failed", host="n", task="Later", res={"msg": "other"}),
    ):
        note_event(each, run, shown)
    assert run.changed == {"localhost": 1}
    assert run.failure is not None
    assert (run.failure.message, run.failure.exit_code, run.failure.host) == ("why", 3, "n")
    text = stream.getvalue()
    assert "✔ Make it" in text
    assert "a: [red]made[/red]" in text
    assert "Skip it" not in text
    assert "✘ Break it" in text


def test_a_failure_that_is_ignored_is_none(tmp_path: Path) -> None:
    run = Run(tmp_path)
    note_event(event("runner_on_failed", ignore_errors=True, res={"msg": "x"}), run, display()[0])
    assert run.failure is None


def test_the_feed_gives_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    feed = ProgressFeed(path)
    assert feed.new_lines() == []
    path.write_text(json.dumps({"step": "a"}) + "\nnot json\n" + '{"step": "b')
    assert feed.new_lines() == [{"step": "a"}]
    with path.open("a") as file:
        file.write('"}\n')
    assert feed.new_lines() == [{"step": "b"}]
    assert feed.new_lines() == []


def test_a_warning_is_a_line_that_stays() -> None:
    shown, stream = display()
    shown.step("cluster")
    shown.tell("build", "Kubernetes v1.37.2: compiling", 1, 10)
    shown.tell("warning", "GOSUMDB=off: no Go module is checked")
    assert stream.getvalue() == "  ! GOSUMDB=off: no Go module is checked\n"

"""A lab on kind whose making is interrupted or killed, at whatever moment, leaves nothing behind."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Kubewire
from on_kind import docker, engine_picture, kept_files, write_lab

from waiting import DEADLINE, eventually

pytestmark = [pytest.mark.kind, pytest.mark.slow]
LAB = "ending"


def state_file(command: Kubewire) -> Path:
    return command.state / "kubewire" / "labs" / LAB / "kind.json"


def kind_said(words: str) -> Callable[[Kubewire], bool]:
    def said(command: Kubewire) -> bool:
        log = command.state / "kubewire" / "logs" / LAB / "kind.log"
        return log.exists() and words in log.read_text()

    return said


def has_joined(command: Kubewire) -> bool:
    return bool(state_file(command).exists() and json.loads(state_file(command).read_text())["nodes"])


def rolls_out(command: Kubewire) -> bool:
    return (command.state / "kubewire" / "labs" / LAB / "workload.json").exists()


MOMENTS: dict[str, Callable[[Kubewire], bool]] = {
    "before kind starts": lambda command: state_file(command).exists(),
    "containers are made": lambda _: f"{LAB}-" in docker("ps", "-a", "--format", "{{.Names}}"),
    "kubeadm runs": kind_said("Starting control-plane"),
    "a node joins": kind_said("Joining worker nodes"),
    "the nodes are there": has_joined,
    "the workload rolls out": rolls_out,
}


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("before kind starts", signal.SIGINT),
        ("containers are made", signal.SIGINT),
        ("kubeadm runs", signal.SIGTERM),
        ("the workload rolls out", signal.SIGINT),
    ],
    ids=str,
)
def test_an_interrupt_leaves_nothing(
    moment: str, number: signal.Signals, tmp_path: Path, kubewire: Kubewire
) -> None:
    before = engine_picture()
    process = kubewire.popen("up", write_lab(tmp_path, LAB, nodes={"workers": 1}))
    eventually(lambda: MOMENTS[moment](kubewire), moment)
    process.send_signal(number)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + number, err
    assert "nothing is left" in err
    assert engine_picture() == before
    assert kept_files(kubewire) == []


@pytest.mark.parametrize("moment", ["containers are made", "a node joins", "the nodes are there"])
def test_what_a_kill_leaves_is_found_by_gc(moment: str, tmp_path: Path, kubewire: Kubewire) -> None:
    before = engine_picture()
    process = kubewire.popen("up", write_lab(tmp_path, LAB, nodes={"workers": 1}))
    eventually(lambda: MOMENTS[moment](kubewire), moment)
    process.kill()
    process.communicate()

    said: list[str] = []

    def gone() -> bool:
        said[:] = [kubewire.run("gc").text]
        return engine_picture() == before and kept_files(kubewire) == []

    eventually(gone, lambda: f"left: {engine_picture()} {kept_files(kubewire)}; before: {before}; gc: {said}")
    assert kubewire.run("list").out.count("ready") == 0

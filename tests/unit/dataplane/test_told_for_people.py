"""What explain and trace print: golden texts, never markup, never control characters, right exit codes."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from explain_golden import GOLDEN, LABS, TOLD, in_ipvs_mode, load
from rich.console import Console

from kubewire.core.console import Screen
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.dataplane.explain_service import explain_service
from kubewire.dataplane.trace import trace
from kubewire.report.explain_text import print_explanation
from kubewire.report.trace_text import print_trace

Golden = Callable[[Path, str], None]


def console() -> tuple[Screen, io.StringIO]:
    written = io.StringIO()
    return Screen(Console(file=written, width=60, highlight=False)), written


def traced(snapshot: Snapshot, *how: str) -> str:
    to, written = console()
    print_trace(trace(snapshot, *how), to)
    return written.getvalue()


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_explanations(mode: str, golden: Golden) -> None:
    snapshot = in_ipvs_mode(load(LABS["iptables"])) if mode == "ipvs" else load(LABS[mode])
    to, written = console()
    print_explanation(explain_service(snapshot, "default/httpbin", "worker"), to)
    golden(TOLD / f"explain-{mode}.txt", written.getvalue())


@pytest.mark.parametrize(
    ("mode", "target"), [("iptables", "10.96.162.119:8000"), ("nftables", "10.96.234.199:8000")]
)
def test_traces(mode: str, target: str, golden: Golden) -> None:
    golden(TOLD / f"trace-{mode}.txt", traced(load(LABS[mode]), "pod/httpbin", target))


def test_alike_branches_are_told_once() -> None:
    text = traced(load(LABS["iptables"]), "node/control-plane", "10.96.162.119:8000")
    assert text.count("⇒ reaches pod") == 4
    assert text.count("… and on as above") == 2
    assert text.count("25 %") == 4


def test_node_text_is_shown_as_it_is() -> None:
    evil = '-m comment --comment "[bold red]x[/] \x1b[31m :smile:" -m owner --uid-owner 0 -j DROP'
    snapshot = load(LABS["iptables"])
    nodes = []
    for node in snapshot.nodes:
        saved = node.files["iptables-save.txt"]
        first = "-A PREROUTING -m comment"
        nodes.append(
            NodeSnapshot(
                node.name,
                {**node.files, "iptables-save.txt": saved.replace(first, f"-A PREROUTING {evil}\n{first}")},
            )
        )
    text = traced(Snapshot(snapshot.cluster, tuple(nodes)), "pod/httpbin", "10.96.162.119:8000")
    assert "[bold red]x[/] \\x1b[31m :smile:" in text
    assert "\x1b" not in text
    assert "⇒ can't be followed on" in text
    assert "its match '-m owner --uid-owner 0' is not modelled" in text


def kubewire(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kubewire", *argv], capture_output=True, text=True)


def test_the_commands(tmp_path: Path) -> None:
    folder = GOLDEN / LABS["iptables"]
    done = kubewire("explain", "--snapshot", str(folder), "--service", "httpbin", "--node", "worker")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (TOLD / "explain-iptables.txt").read_text()
    how = ("--from", "pod/httpbin", "--to", "10.96.162.119:8000")
    done = kubewire("trace", "--snapshot", str(folder), *how)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (TOLD / "trace-iptables.txt").read_text()
    changed = shutil.copytree(folder, tmp_path / "changed")
    facts = changed / "nodes" / "iptables-worker" / "iptables-save.txt"
    facts.write_text(
        facts.read_text().replace("-m statistic --mode random --probability", "-m strange --odds")
    )
    done = kubewire("trace", "--snapshot", str(changed), *how)
    assert (done.returncode, done.stderr) == (4, "")
    assert "-m strange --odds 0.25000000000" in done.stdout


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["explain", "--service", "x"], 2, "needs either a lab or --snapshot DIR"),
        (["explain", "iptables"], 2, "--service"),
        (["trace", "--from", "node/x", "--to", "1.2.3.4:5"], 2, "needs either a lab or --snapshot DIR"),
        (
            ["trace", "--snapshot", str(GOLDEN / LABS["iptables"]), "--from", "node/x", "--to", "1.2.3.4:5"],
            2,
            "no node",
        ),
        (["explain", "--snapshot", str(GOLDEN / LABS["iptables"]), "--service", "x"], 2, "no Service"),
    ],
)
def test_wrong_calls(argv: list[str], code: int, words: str) -> None:
    done = kubewire(*argv)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_goldens_are_of_the_labs() -> None:
    assert json.loads((GOLDEN / LABS["iptables"] / "snapshot.json").read_text())["lab"] == "iptables"

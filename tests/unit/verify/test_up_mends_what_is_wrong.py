"""What `up` does about findings, and in which words it says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.providers.base import Change, NodeHandle
from kubewire.verify.settle import deletions, hint, left_by

NODE = "lab-worker"
SNAPSHOT = Snapshot({}, (NodeSnapshot("lab-control-plane", {}), NodeSnapshot(NODE, {})))
TABLE = Check("iptables.table", "failed", NODE, object="iptables nat", observed="1 difference")
WRONG = Check(
    "iptables.service.probability",
    "failed",
    NODE,
    object="iptables nat KUBE-SVC-X",
    expected="-A KUBE-SVC-X --probability 0.25\nmore",
)
ROUTE = Check("route.pod-cidr", "failed", NODE)
RULE = r"""-A OUTPUT -d 10.96.0.9/32 -p tcp -m comment --comment "it\'s \"odd\" \\ $(reboot)" -j DROP"""
STRAY = Check("iptables.stray", "failed", NODE, object="iptables filter OUTPUT", observed=f"{RULE}\n{RULE}")


class Mender:
    """A provider that keeps what it was asked to do."""

    name = "netns"

    def __init__(self, prefix: tuple[str, ...] = ("true",)) -> None:
        self.prefix = prefix
        self.asked: list[tuple[str, ...]] = []

    def nodes(self, name: str) -> tuple[NodeHandle, ...]:
        return (NodeHandle(NODE, "worker", self.prefix, ()),)

    def restart_kube_proxy(self, name: str, node: str) -> None:
        self.asked.append(("restart", node))

    def repair_network(self, name: str, node: str, *, check: bool = False) -> list[Change]:
        self.asked.append(("routes", node))
        return [Change(node, "put back the route to 10.244.2.0/24")]


def mended(*checks: Check) -> tuple[list[tuple[str, ...]], list[Change]]:
    provider: Any = Mender()
    changes = hint(provider, "lab", SNAPSHOT, checks)
    return provider.asked, changes


def test_a_wrong_rule_restarts_that_nodes_kube_proxy_and_says_why() -> None:
    asked, changes = mended(TABLE, WRONG)
    assert asked == [("restart", NODE)]
    assert changes[0].what == "restarted kube-proxy"
    assert changes[0].why == (
        "iptables.service.probability iptables nat KUBE-SVC-X: "
        "expected -A KUBE-SVC-X --probability 0.25, observed (nothing)"
    )


def test_a_lost_route_is_put_back_without_touching_kube_proxy() -> None:
    asked, changes = mended(ROUTE)
    assert asked == [("routes", NODE)]
    assert [change.what for change in changes] == ["put back the route to 10.244.2.0/24"]


def test_what_the_provider_wrote_is_its_own_to_put_back() -> None:
    forwarding = "net.ipv4.ip_forward"
    effect = Check("kernel.sysctl", "failed", NODE, object=forwarding)
    assert mended(Check("node.masquerade", "failed", NODE))[0] == [("routes", NODE)]
    assert mended(effect, Check("node.sysctl", "failed", NODE, object=forwarding))[0] == [("routes", NODE)]
    assert mended(effect)[0] == [("restart", NODE)]


def test_stray_rules_are_deleted_one_by_one_without_touching_kube_proxy() -> None:
    asked, changes = mended(TABLE, STRAY)
    assert asked == []
    assert [change.where for change in changes] == [NODE, NODE]
    assert "deleted a stray rule" in changes[0].what


def test_a_table_that_is_all_that_fails_is_reason_enough() -> None:
    assert mended(TABLE)[0] == [("restart", NODE)]


def test_other_nodes_are_left_alone() -> None:
    assert mended(Check("iptables.extra", "failed", "elsewhere"))[0] == []


def test_what_a_planned_start_mends_is_not_announced_again() -> None:
    restarted = Change(NODE, "node container restarted", afresh=True)
    proxy = Change(NODE, "kube-proxy@lab-worker restarted by its supervisor")
    elsewhere = Check("route.pod-cidr", "failed", "lab-control-plane")
    found = [WRONG, ROUTE, elsewhere]
    assert left_by([], found) == found
    assert left_by([restarted], found) == [elsewhere]
    assert left_by([proxy], found) == [ROUTE, elsewhere]


def test_a_deletion_is_an_argv_and_no_shell_sees_it() -> None:
    assert deletions(STRAY)[0] == [
        *("iptables", "-w", "-t", "filter", "-D", "OUTPUT", "-d", "10.96.0.9/32", "-p", "tcp"),
        *("-m", "comment", "--comment", r"""it's "odd" \ $(reboot)""", "-j", "DROP"),
    ]


def test_only_the_tools_of_the_dumps_are_called() -> None:
    assert deletions(Check("iptables.stray", "failed", NODE, object="rm -rf /", observed="-A x")) == []


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("iptables"), reason="needs root and iptables")
def test_a_real_rule_is_gone_afterwards(tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    argv = deletions(STRAY)[0]
    script.write_text(
        "iptables-restore <<'E'\n*filter\n"
        + RULE
        + '\nCOMMIT\nE\niptables-save -t filter | grep reboot\n"$@"\n'
        "iptables-save -t filter | grep reboot\n"
    )
    done = subprocess.run(
        ["unshare", "-n", "sh", str(script), *argv], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [RULE], done.stderr

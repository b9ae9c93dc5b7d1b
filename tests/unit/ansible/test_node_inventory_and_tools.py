"""The hosts that the inventory gives for a lab's nodes, and what the tools on a node say."""

from __future__ import annotations

import subprocess

from kubewire.app.node_inventory import lab_group, node_host
from kubewire.app.steps.node_tools import parse_versions, script
from kubewire.providers.base import NodeHandle


def test_a_node_is_in_its_groups_with_its_prefix() -> None:
    host = node_host(
        "no-endpoints", NodeHandle("no-endpoints-worker", "worker", ("nsenter", "-t", "7"), ("172.18.0.3",))
    )
    assert host.name == "no-endpoints-worker"
    assert host.groups == ("nodes", "workers", "lab_no_endpoints")
    assert host.variables["kubewire_prefix"] == ["nsenter", "-t", "7"]
    assert host.variables["ansible_connection"] == "kubewire.lab.node"


def test_group_names_hold_no_hyphen() -> None:
    assert lab_group("a-b-c") == "lab_a_b_c"


def test_the_script_really_tells_versions_and_what_is_missing() -> None:
    done = subprocess.run(["sh", "-c", script(("ip", "sh-that-is-not"))], capture_output=True, text=True)
    versions = parse_versions(done.stdout)
    assert versions["ip"].startswith("ip utility")
    assert versions["sh-that-is-not"] == ""

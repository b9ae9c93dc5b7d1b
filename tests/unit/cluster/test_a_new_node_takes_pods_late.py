"""A Node is Ready before the scheduler may use it; pods put out too early would all go to the first one."""

from __future__ import annotations

from typing import Any

import pytest

from kubewire.cluster.readiness import takes_pods


def node(status: str, *taints: str) -> dict[str, Any]:
    return {
        "spec": {"taints": [{"key": key, "effect": "NoSchedule"} for key in taints]},
        "status": {
            "conditions": [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": status}]
        },
    }


@pytest.mark.parametrize(
    ("of", "takes"),
    [
        (node("True"), True),
        (node("True", "node-role.kubernetes.io/control-plane"), True),
        (node("True", "node.kubernetes.io/not-ready"), False),
        (node("True", "node.kubernetes.io/unschedulable"), True),
        (node("Unknown"), False),
        ({"spec": {}, "status": {}}, False),
    ],
)
def test_ready_and_not_tainted_any_more(of: dict[str, Any], takes: bool) -> None:
    assert takes_pods(of) is takes

"""Whether a Node or a Pod is ready, and a Node can take pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_YET = "node.kubernetes.io/not-ready"


def is_ready(obj: Mapping[str, Any]) -> bool:
    """Whether its condition Ready is True."""
    conditions = obj.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def takes_pods(node: Mapping[str, Any]) -> bool:
    """Ready, and without the taint that the admission plugin puts on a new Node: the node lifecycle
    controller takes it off a moment later, and until then the scheduler passes the node by.

    Source: plugin/pkg/admission/nodetaint, pkg/controller/nodelifecycle.
    """
    taints = node.get("spec", {}).get("taints") or ()
    return is_ready(node) and not any(taint["key"] == NOT_YET for taint in taints)

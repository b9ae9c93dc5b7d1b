"""Docker's networks switch IPv6 off in a node; what kube-proxy then leaves out depends on its version."""

from __future__ import annotations

import pytest

from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.objects import Node

NODE = Node("n")


@pytest.mark.parametrize(
    ("ipv6", "version", "left_out"),
    [
        ("on", "v1.37.2", False),
        ("disabled", "v1.37.2", True),
        ("disabled", "v1.36.0", True),
        ("disabled", "v1.35.4", False),
        ("absent", "v1.29.6", True),
        ("", "v1.37.2", False),
    ],
)
def test_only_ipv6_and_only_where_kube_proxy_does(ipv6: str, version: str, left_out: bool) -> None:
    facts = NodeFacts.build(NODE, {"ipv6": ipv6} if ipv6 else {})
    assert facts.leaves_out("ipv6", Version.parse(version)) is left_out
    assert not facts.leaves_out("ipv4", Version.parse(version))

"""In ipvs mode a trace goes through the virtual servers, as the kernel's hooks have it; recorded nodes."""

from __future__ import annotations

import pytest

from kubewire.dataplane.core.cluster import service_ports
from kubewire.dataplane.core.endpoints import endpoints_of
from kubewire.dataplane.node import read_inputs
from kubewire.dataplane.trace import Trace
from trace_golden import Bench, bench_of, edited, ends, load

IPVS = "versions/v1.37.2-ipvs"
HTTPBIN = ("10.96.9.1", 8000)
NEWEST_AND_OLDEST = ("v1.29.6", "v1.37.2")


def tracer(version: str = "v1.37.2") -> Bench:
    return bench_of(load(f"versions/{version}-ipvs"), "default", "ipv4")


@pytest.mark.parametrize("version", NEWEST_AND_OLDEST)
def test_every_cluster_ip_reaches_its_endpoints_alike(version: str) -> None:
    node = tracer(version)
    snapshot = next(each for each in load(f"versions/{version}-ipvs").nodes if each.name == "default")
    inputs = read_inputs(snapshot, node.cluster)
    for port in service_ports(node.cluster, "ipv4", node.version):
        endpoints = endpoints_of(node.cluster, port, inputs.facts.node, inputs.version)
        used = (port.internal_policy_local and endpoints.local) or endpoints.cluster
        wanted = {str(endpoint): 1 / len(used) for endpoint in used} or {"rejected": 1.0}
        for start in (node.pod("10.244.1.200"), node.process()):
            trace = node.trace(start, port.cluster_ip, port.port, port.protocol.lower())
            assert ends(trace) == pytest.approx(wanted), port.name
            assert not trace.refused


@pytest.mark.parametrize(
    ("chain", "rule", "from_pod", "from_process"),
    [
        ("INPUT", "-d 10.96.9.1/32 -p tcp -m tcp --dport 8000 -j DROP", "dropped", "served"),
        ("FORWARD", "-p tcp -j DROP", "dropped", "served"),
        ("OUTPUT", "-d 10.96.9.1/32 -j DROP", "served", "served"),
        ("OUTPUT", "-p tcp -m tcp --dport 80 -j DROP", "dropped", "dropped"),
    ],
)
def test_a_rule_meets_the_service_in_input_the_endpoint_in_output_and_the_reply_in_forward(
    chain: str, rule: str, from_pod: str, from_process: str
) -> None:
    changed = edited(
        load(IPVS),
        "default",
        "iptables-save.txt",
        lambda text: text.replace("-A INPUT", f"-A {chain} {rule}\n-A INPUT", 1),
    )
    node = bench_of(changed, "default", "ipv4")
    for start, end in ((node.pod("10.244.1.200"), from_pod), (node.process(), from_process)):
        found = ends(node.trace(start, *HTTPBIN))
        assert ("dropped" in found) == (end == "dropped"), found


def test_the_steps_name_the_virtual_server_and_the_choice() -> None:
    trace: Trace = tracer().trace(tracer().pod("10.244.1.200"), *HTTPBIN)
    steps = [(step.text, step.effect) for step in trace.paths[0].steps if step.place == "ipvs"]
    assert steps == [("virtual server 10.96.9.1:8000", "destination 10.96.9.1:8000 → 10.244.1.2:80")]

"""From curl's output to checks: what passes, what fails, and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kubewire.dataplane.core.findings import Check
from kubewire.verify.probes import Answer, Probe, Reply, Vantage, parse_reply, plain
from kubewire.verify.replies import check_probe

PODS = ("httpbin-a", "httpbin-b", "httpbin-c", "httpbin-d")
NODE = "lab-worker"
ADDRESSES = {NODE: frozenset({"172.18.0.3", "10.244.1.1"})}
POD_IP = "10.244.1.2"
PROBE = Probe(
    check="traffic.clusterip",
    vantage=Vantage("pod", NODE, "default", "httpbin-a"),
    node=NODE,
    family="ipv4",
    service="default/httpbin:http",
    address="10.96.0.9",
    port=8000,
    count=60,
    replicas=PODS,
    spread=True,
    source="client",
)


def reply(
    counts: Sequence[int] = (15, 15, 15, 15),
    *,
    origin: str = POD_IP,
    hairpin: str = "10.244.1.1",
    code: int = 0,
) -> Reply:
    answers = [
        Answer(200, pod, hairpin if pod == "httpbin-a" else origin, POD_IP)
        for pod, count in zip(PODS, counts, strict=True)
        for _ in range(count)
    ]
    return Reply(tuple(answers), code, "curl: (28) Connection timed out" if code else "")


def judged(probe: Probe, seen: Reply) -> dict[str, Check]:
    return {check.id: check for check in check_probe(probe, seen, ADDRESSES, claims=2)}


def statuses(probe: Probe, seen: Reply) -> dict[str, str]:
    return {
        check_id.removeprefix("traffic."): check.status for check_id, check in judged(probe, seen).items()
    }


def test_a_healthy_pod_passes_everything() -> None:
    assert statuses(PROBE, reply()) == dict.fromkeys(
        ("clusterip", "spread", "hairpin", "source.pod"), "passed"
    )
    assert judged(PROBE, reply())["traffic.spread"].observed == "15 + 15 + 15 + 15 requests"


def test_a_replica_never_reached_fails_the_spread_by_name() -> None:
    check = judged(PROBE, reply((20, 20, 20, 0)))["traffic.spread"]
    assert check.status == "failed"
    assert check.observed == "20 + 20 + 20 + 0 requests; never httpbin-d"


def test_a_probability_changed_by_hand_fails_the_spread() -> None:
    assert "too uneven: httpbin-a 50" in judged(PROBE, reply((50, 4, 3, 3)))["traffic.spread"].observed


def test_a_request_without_answer_fails_with_curls_words() -> None:
    check = judged(PROBE, reply((10, 10, 10, 10), code=28))["traffic.clusterip"]
    assert check.status == "failed"
    assert check.observed == "40 of 60 requests answered; then curl: (28) Connection timed out"


def test_an_answer_by_a_stranger_fails() -> None:
    seen = reply((15, 15, 15, 14))
    stray = replace(seen, answers=(*seen.answers, Answer(200, "intruder", POD_IP, POD_IP)))
    check = judged(PROBE, stray)["traffic.clusterip"]
    assert check.observed == "59 of 60 requests answered; one answered by intruder, which is no ready replica"


def test_an_http_error_fails() -> None:
    seen = Reply((Answer(500, "httpbin-a", "", POD_IP),), 0)
    assert "HTTP 500" in judged(replace(PROBE, count=1), seen)["traffic.clusterip"].observed


def test_a_masqueraded_pod_fails_but_a_masqueraded_hairpin_is_right() -> None:
    assert statuses(PROBE, reply(origin="172.18.0.3"))["source.pod"] == "failed"
    assert statuses(PROBE, reply(hairpin=POD_IP))["hairpin"] == "failed"
    assert judged(PROBE, reply(hairpin=POD_IP))["traffic.hairpin"].observed == POD_IP


def test_a_node_must_arrive_from_its_own_address() -> None:
    probe = replace(PROBE, vantage=Vantage("node", NODE), source="node")
    assert statuses(probe, reply(origin="172.18.0.3"))["source.node"] == "passed"
    assert statuses(probe, reply(origin="172.18.0.4"))["source.node"] == "failed"


@pytest.mark.parametrize(
    ("source", "origin", "good"), [("node", "172.18.0.3", True), ("node", "172.18.0.1", False)]
)
def test_a_node_port_is_masqueraded(source: str, origin: str, good: bool) -> None:
    probe = replace(PROBE, check="traffic.nodeport", vantage=Vantage("outside"), spread=False, source="node")
    assert statuses(probe, reply(origin=origin))["source.nodeport"] == ("passed" if good else "failed")


def test_a_local_node_port_keeps_its_client() -> None:
    probe = replace(
        PROBE, check="traffic.nodeport", vantage=Vantage("outside"), spread=False, source="client"
    )
    seen = [replace(answer, client="172.18.0.1", origin="172.18.0.1") for answer in reply().answers]
    assert statuses(probe, Reply(tuple(seen), 0))["source.nodeport"] == "passed"


def test_affinity_wants_one_replica() -> None:
    probe = replace(PROBE, spread=False, sticky=True, count=8)
    assert statuses(probe, reply((0, 8, 0, 0)))["affinity"] == "passed"
    assert judged(probe, reply((0, 8, 0, 0)))["traffic.hairpin"].status == "skipped"
    assert "2 replicas" in judged(probe, reply((4, 4, 0, 0)))["traffic.affinity"].observed


@pytest.mark.parametrize(
    ("outcome", "code", "good"),
    [
        ("refused", 7, True),
        ("refused", 28, False),
        ("refused", 0, False),
        ("dropped", 28, True),
        ("dropped", 7, False),
    ],
)
def test_no_endpoints_is_refused_and_no_local_ones_dropped(outcome: str, code: int, good: bool) -> None:
    probe = replace(PROBE, check="traffic.no-endpoints", outcome=outcome, replicas=(), spread=False)
    assert statuses(probe, Reply((), code))["no-endpoints"] == ("passed" if good else "failed")


def test_an_answer_where_none_may_be_names_who_answered() -> None:
    probe = replace(PROBE, check="traffic.no-endpoints", outcome="refused", replicas=(), spread=False)
    seen = Reply((Answer(200, "ghost", POD_IP, POD_IP),), 0)
    assert judged(probe, seen)["traffic.no-endpoints"].observed == "answered by ghost"


def test_identities_are_unique() -> None:
    checks = list(check_probe(PROBE, reply(), ADDRESSES, claims=2))
    assert len({(c.id, c.node, c.service, c.object) for c in checks}) == len(checks)


CURL = (
    "HTTP/1.1 200 OK\r\nServer: gunicorn\r\nX-Served-By: httpbin-a\r\n\r\n"
    '{\n  "origin": "::ffff:10.244.1.2"\n}\n\n@@kubewire@@ 200 10.244.1.2\n'
    "\n@@kubewire@@ 000 \n"
)


def test_curls_output_is_read_request_by_request() -> None:
    seen = parse_reply(CURL, 28, "curl: (28) timed out\n")
    assert seen == Reply((Answer(200, "httpbin-a", "10.244.1.2", "10.244.1.2"),), 28, "curl: (28) timed out")


def test_an_address_seen_through_an_ipv6_socket_is_ipv4() -> None:
    assert plain("::ffff:10.0.0.1") == "10.0.0.1"
    assert plain("FD00::0:1") == "fd00::1"
    assert plain("no address") == "no address"

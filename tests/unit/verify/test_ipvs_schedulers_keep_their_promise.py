"""Traffic through a virtual server is judged by what its scheduler promises, and by the kernel's counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kubewire.dataplane.core.findings import Check
from kubewire.verify.ipvs_traffic import check_stats, parse_stats, scheduled
from kubewire.verify.probes import Answer, Probe, Reply, Vantage
from kubewire.verify.replies import check_probe

REPLICAS = ("a", "b", "c", "d")
PODS = {f"10.244.1.{index}": name for index, name in enumerate(REPLICAS, 2)}
BASE = Probe(
    check="traffic.clusterip",
    vantage=Vantage("node", "worker"),
    node="worker",
    family="ipv4",
    service="default/httpbin:http",
    address="10.96.0.9",
    port=8000,
    count=58,
    replicas=REPLICAS,
    spread=True,
)
STATS = """IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.96.0.1:443                       3       36       30     3456    12345
  -> 172.18.0.2:6443                     3       36       30     3456    12345
TCP  10.96.0.9:8000                     {}      144      120    13824    49380
  -> 10.244.1.2:80                       {}       36       30     3456    12345
  -> 10.244.1.3:80                       {}       36       30     3456    12345
  -> 10.244.1.4:80                       {}       36       30     3456    12345
  -> 10.244.1.5:80                       {}       36       30     3456    12345
"""


def reply(answers: str) -> Reply:
    return Reply(tuple(Answer(200, name, "172.18.0.3", "172.18.0.3") for name in answers), 0)


def verdicts(probe: Probe, answers: str) -> dict[str, str]:
    checks: Sequence[Check] = list(
        check_probe(probe, reply(answers), {"worker": frozenset({"172.18.0.3"})}, 0)
    )
    return {check.id: check.status for check in checks}


@pytest.mark.parametrize("scheduler", ["rr", "wrr"])
@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ("abcdabcdabcd", "passed"),
        ("abcdabcdabca", "failed"),
        ("aaabbbcccddd", "passed"),
        ("abcabcabcabc", "failed"),
    ],
)
def test_in_turn_means_the_exact_share(scheduler: str, answers: str, status: str) -> None:
    probe = scheduled(BASE, scheduler)
    assert probe.count == 12
    assert verdicts(probe, answers)["traffic.spread"] == status


@pytest.mark.parametrize("scheduler", ["sh", "dh"])
def test_a_hash_keeps_a_source_on_one_server(scheduler: str) -> None:
    probe = scheduled(BASE, scheduler)
    assert verdicts(probe, "b" * probe.count)["traffic.affinity"] == "passed"
    assert verdicts(probe, "b" * (probe.count - 1) + "c")["traffic.affinity"] == "failed"
    assert "traffic.spread" not in verdicts(probe, "b" * probe.count)


@pytest.mark.parametrize("scheduler", ["lc", "wlc"])
def test_least_connections_leave_nobody_out(scheduler: str) -> None:
    probe = scheduled(BASE, scheduler)
    assert verdicts(probe, "aaaaabbbccdd")["traffic.spread"] == "passed"
    assert verdicts(probe, "aaaaabbbcccc")["traffic.spread"] == "failed"


@pytest.mark.parametrize("scheduler", ["mh", "sed", "nq", "lblc", "lblcr"])
def test_nothing_is_claimed_of_the_others(scheduler: str) -> None:
    told = verdicts(scheduled(BASE, scheduler), "a" * BASE.count)
    assert not {"traffic.spread", "traffic.affinity"} & set(told)


def stats(*shares: int) -> dict[tuple[str, str], int]:
    return parse_stats(STATS.format(sum(shares), *shares))


def test_counters_are_read_by_virtual_and_real_server() -> None:
    assert stats(3, 2, 1, 0)["10.96.0.9:8000", "10.244.1.3:80"] == 2
    assert stats(3, 2, 1, 0)["10.96.0.1:443", "172.18.0.2:6443"] == 3
    six = "TCP  [fd00::9]:8000  4 1 1 1 1\n  -> [fd00:1::2]:80  4 1 1 1 1\n"
    assert parse_stats(six) == {("[fd00::9]:8000", "[fd00:1::2]:80"): 4}


@pytest.mark.parametrize(
    ("after", "status"),
    [((8, 8, 8, 8), "passed"), ((8, 9, 8, 8), "passed"), ((9, 7, 8, 8), "failed")],
)
def test_the_kernels_count_agrees_with_what_was_sent(after: tuple[int, ...], status: str) -> None:
    asked = [(scheduled(BASE, "rr"), reply("abcdabcdabcd"))]
    (check,) = check_stats(asked, stats(5, 5, 5, 5), stats(*after), PODS)
    assert (check.id, check.node, check.status) == ("traffic.ipvs-stats", "worker", status)
    assert check.expected == "12 connections: 3 + 3 + 3 + 3"


def test_several_probes_of_one_virtual_server_add_up() -> None:
    pod = replace(BASE, vantage=Vantage("pod", "worker", "default", "a"), count=4)
    asked = [(replace(BASE, count=4), reply("abcd")), (pod, reply("abca"))]
    (check,) = check_stats(asked, {}, stats(3, 2, 2, 1), PODS)
    assert check.status == "passed"


def test_nothing_is_judged_where_requests_went_unanswered() -> None:
    (check,) = check_stats([(scheduled(BASE, "rr"), reply("abc"))], {}, stats(1, 1, 1, 0), PODS)
    assert check.status == "skipped"

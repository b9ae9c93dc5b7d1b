"""Each set, member, virtual server, real server, rule and address deleted, altered or added: it is found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ipvs_support import Bench, rich

from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.registry import KINDS
from trace_golden import ROUTES

SETS, SERVERS, TABLES, TABLES_6 = (
    "ipset_save_txt",
    "ipvsadm_save_txt",
    "iptables_save_txt",
    "ip6tables_save_txt",
)
STRIDE = {SETS: 11, SERVERS: 7, TABLES: 5, TABLES_6: 5}


@pytest.fixture(params=["rich-worker", pytest.param("rich-worker2", marks=pytest.mark.slow)])
def bench(request: pytest.FixtureRequest) -> Bench:
    """One node of which some lines are damaged; the other one, line by line, in the slow run."""
    return rich(request.param)


def text_of(bench: Bench, word: str) -> str:
    return next(
        text for name, text in bench.files.items() if name.replace("-", "_").replace(".", "_") == word
    )


def damaged(
    bench: Bench, word: str, pattern: str, change: Callable[[str], str]
) -> Iterator[tuple[str, list[Check]]]:
    """Every line (or every few) that the pattern finds, and what fails once it is changed."""
    lines = text_of(bench, word).splitlines()
    found = [index for index, line in enumerate(lines) if re.search(pattern, line)]
    assert found
    every = 1 if bench is rich("rich-worker2") else STRIDE[word]
    for index in found[::every]:
        edited = [*lines[:index], *change(lines[index]).splitlines(), *lines[index + 1 :]]
        failed = bench.failed(**{word: "\n".join(edited) + "\n"})
        assert {check.id for check in failed} <= KINDS.keys()
        yield lines[index], failed


def tells(failed: list[Check], text: str) -> bool:
    """A finding of its own and the failure of the whole."""
    return any(check.id == "ipvs.table" for check in failed) and any(
        text in f"{check.expected}\n{check.observed}".splitlines()
        for check in failed
        if check.id != "ipvs.table"
    )


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        (SETS, "^add"),
        (SETS, "^create"),
        (SERVERS, "^-a"),
        (SERVERS, "^-A"),
        (TABLES, "^-A"),
        (TABLES_6, "^-A"),
    ],
)
def test_a_deleted_line(bench: Bench, word: str, pattern: str) -> None:
    for line, failed in damaged(bench, word, pattern, lambda line: ""):
        assert tells(failed, re.sub(r" hashsize \d+", "", line)), line


@pytest.mark.parametrize(
    ("word", "pattern", "before", "after"),
    [
        (SETS, r"^add \S+ \S+,", r":(\d+)", r":1\1"),
        (SETS, r"^add \S+ \d+$", r"(\d)$", r"\g<1>0"),
        (SETS, r"^add \S+ \S+,tcp", r"tcp", r"udp"),
        (SETS, r"^create \S+ hash:ip,port ", r"hash:ip,port", r"hash:net,port"),
        (SETS, r"maxelem", r"65536", r"1024"),
        (SETS, r"^create", r"$", r" timeout 600"),
        (SERVERS, r"^-a", r"-w 1", r"-w 2"),
        (SERVERS, r"^-a", r"-w 1", r"-w 0"),
        (SERVERS, r"^-a", r"-m", r"-g"),
        (SERVERS, r"^-a", r":(\d+) -m", r":1\1 -m"),
        (SERVERS, r"^-A", r"-s rr", r"-s wrr"),
        (SERVERS, r"^-A.* -p", r"-p \d+", r"-p 60"),
        (SERVERS, r"^-A.*rr$", r"$", r" -p 300"),
        (SERVERS, r"^-A", r"$", r" -o"),
        (TABLES, r"match-set", r"match-set (\S+)", r"match-set \1-X"),
        (TABLES, r"dst,dst", r"dst,dst", r"src,dst"),
        (TABLES, r"-j RETURN", r"-j RETURN", r"-j ACCEPT"),
        (TABLES, r"0x4000", r"0x4000", r"0x8000"),
        (TABLES, r"--vport", r"--vport (\d+)", r"--vport 1\1"),
    ],
)
def test_an_altered_line(bench: Bench, word: str, pattern: str, before: str, after: str) -> None:
    for line, failed in damaged(bench, word, pattern, lambda line: re.sub(before, after, line)):
        assert any(check.id != "ipvs.table" for check in failed), line


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (SETS, "add KUBE-CLUSTER-IP 10.96.9.9,tcp:1"),
        (SETS, "add KUBE-6-NODE-PORT-TCP 31999"),
        (SETS, "add KUBE-IPVS-IPS 10.96.77.77"),
        (SERVERS, "-A -t 10.96.77.77:80 -s rr"),
        (SERVERS, "-A -u [fd00:10:96::777]:53 -s rr"),
        (SERVERS, "-A -f 16384 -s rr"),
    ],
)
def test_an_added_line(bench: Bench, word: str, line: str) -> None:
    failed = bench.failed(**{word: f"{text_of(bench, word)}{line}\n"})
    assert [check.id for check in failed if check.id not in ("ipvs.table", "dataplane.agreement")] == [
        "ipvs.extra"
    ]
    assert tells(failed, line)


@pytest.mark.parametrize("weight", [0, 1])
@pytest.mark.parametrize(("service", "port"), [("-t", 443), ("-u", 53), ("--sctp-service", 81)])
def test_a_real_server_that_is_no_endpoint(bench: Bench, service: str, port: int, weight: int) -> None:
    """TCP connections may end in peace, with weight 0 (graceful_termination.go)."""
    owner = next(
        line
        for line in text_of(bench, SERVERS).splitlines()
        if line.startswith(f"-A {service} ") and f":{port} " in line
    )
    _, option, address, *_ = owner.split()
    line = f"-a {option} {address} -r 10.244.7.7:{port} -m -w {weight}"
    checked = bench.checked(**{SERVERS: text_of(bench, SERVERS).replace(owner, f"{owner}\n{line}")})
    failed = [check for check in checked.checks if check.status == "failed"]
    if option == "-t" and weight == 0:
        assert failed == []
        assert any("on their way out" in note.text and line in note.text for note in checked.notes)
    else:
        assert tells(failed, line)


@pytest.mark.parametrize("table", ["filter", "nat"])
def test_a_doubled_or_a_stray_rule(bench: Bench, table: str) -> None:
    for line, failed in damaged(bench, TABLES, "^-A", lambda line: f"{line}\n{line}"):
        assert any("once" in check.reason for check in failed), line
    stray = (
        f"*{table}\n-A OUTPUT -j KUBE-NODE-PORT\n" if table == "nat" else "*filter\n-A INPUT -p tcp -j DROP\n"
    )
    text = text_of(bench, TABLES)
    start = text.index(f"*{table}\n")
    at = text.index("-A ", start)
    failed = bench.failed(
        ip_route_json=json.dumps(ROUTES), **{TABLES: text[:at] + stray.partition("\n")[2] + text[at:]}
    )
    assert any(check.id == "ipvs.stray" for check in failed)


def test_order_matters_only_where_the_kernel_says_so(bench: Bench) -> None:
    text = text_of(bench, TABLES)
    free = re.findall(r"^-A KUBE-IPVS-FILTER .* RETURN$", text, re.MULTILINE)
    assert not bench.failed(**{TABLES: text.replace("\n".join(free), "\n".join(reversed(free)))})
    bound = re.findall(r"^-A KUBE-LOAD-BALANCER .*$", text, re.MULTILINE)
    failed = bench.failed(**{TABLES: text.replace("\n".join(bound), "\n".join(reversed(bound)))})
    assert "ipvs.order" in {check.id for check in failed}


def addresses(bench: Bench, edit: Callable[[list[dict[str, Any]]], Any]) -> list[Check]:
    links = json.loads(bench.files["ip-addr.json"])
    edit(next(link for link in links if link["ifname"] == "kube-ipvs0")["addr_info"])
    return bench.failed(ip_addr_json=json.dumps(links))


def test_addresses_of_the_interface(bench: Bench) -> None:
    failed = addresses(bench, lambda info: info.pop(0))
    assert any(check.id == "ipvs.address" and check.observed == "(missing)" for check in failed)
    failed = addresses(
        bench, lambda info: info.append({"family": "inet", "local": "10.96.77.77", "prefixlen": 32})
    )
    assert tells(failed, "inet 10.96.77.77/32")
    failed = addresses(bench, lambda info: info[0].update(prefixlen=24))
    assert any(check.id == "ipvs.address" for check in failed)
    failed = addresses(
        bench, lambda info: info.append({"family": "inet6", "local": "fe80::1", "prefixlen": 64})
    )
    assert failed == []


def test_without_the_interface(bench: Bench) -> None:
    links = [link for link in json.loads(bench.files["ip-addr.json"]) if link["ifname"] != "kube-ipvs0"]
    failed = bench.failed(ip_addr_json=json.dumps(links))
    assert [check.object for check in failed if check.id == "ipvs.interface"] == [
        "kube-ipvs0 ipv4",
        "kube-ipvs0 ipv6",
    ]


@pytest.mark.parametrize("name", ["net.ipv4.vs.conntrack", "net.ipv4.conf.all.arp_announce"])
def test_sysctls(bench: Bench, name: str) -> None:
    facts = json.loads(bench.files["facts.json"])
    [check] = bench.failed(facts_json=json.dumps({"sysctls": {**facts["sysctls"], name: "0"}}))
    assert (check.id, check.object, check.observed) == ("ipvs.sysctl", name, f"{name} = 0")
    checked = bench.checked(facts_json=None)
    assert {check.status for check in checked.checks if check.id == "ipvs.sysctl"} == {"skipped"}
    assert not [check for check in checked.checks if check.status == "failed"]

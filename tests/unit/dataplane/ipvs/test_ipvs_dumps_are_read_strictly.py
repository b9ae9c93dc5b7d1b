"""ipset save, ipvsadm -Sn and ip -j addr: read whole, printed back, and nothing dropped in silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipvs_support import rich

from kubewire.dataplane.core.iproute import parse_link
from kubewire.dataplane.core.model import RealServer
from kubewire.dataplane.ipvs.ipset import parse_ipset_save
from kubewire.dataplane.ipvs.ipvsadm import parse_ipvsadm_save
from printed_dumps import print_ipset_save, print_ipvsadm_save

IPSET = """\
create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0xfe28ea97
add KUBE-CLUSTER-IP 10.96.0.1,udp:53
add KUBE-CLUSTER-IP 10.96.0.1,sctp:443
create KUBE-6-LOAD-BALANCER-SOURCE-CID hash:ip,port,net family inet6 hashsize 1024 maxelem 65536
add KUBE-6-LOAD-BALANCER-SOURCE-CID fd00::1,tcp:80,fd00::/48
add KUBE-6-LOAD-BALANCER-SOURCE-CID fd00::1,tcp:80,fd00::5
create KUBE-6-NODE-PORT-TCP bitmap:port range 0-65535
add KUBE-6-NODE-PORT-TCP 30080
create cali40all list:set size 8 counters
add cali40all other packets 0 bytes 0
create mine hash:ip family inet hashsize 64 maxelem 1024 timeout 60 comment
add mine 10.0.0.1 timeout 59 comment "a b"
"""
IPVSADM = """\
-A -t 10.96.0.1:443 -s rr
-a -t 10.96.0.1:443 -r 172.18.0.2:6443 -m -w 1
-A -u [fd00:10:96::a]:53 -s mh -p 600 -b mh-port
-a -u [fd00:10:96::a]:53 -r [fd00:10:244::5]:53 -m -w 0
-A --sctp-service 10.96.0.7:81 -s rr -p 300 -M 255.255.255.0 --pe sip -o -b flag-1,flag-2
-A -f 7 -s wlc
-a -f 7 -r 10.0.0.1:0 -g -w 3
-A -f 8 -6 -s wlc
-a -f 8 -6 -r [fd00::1]:0 -i --tun-type gue --tun-port 6080 --tun-nocsum -w 1
"""


def test_ipset_is_read_whole_and_printed_back() -> None:
    read = parse_ipset_save(IPSET)
    assert not read.problems
    assert print_ipset_save(read) == IPSET
    assert [item.family for item in read.sets] == ["ipv4", "ipv6", "ipv6", "", "ipv4"]


def test_ipvsadm_is_read_whole_and_printed_back() -> None:
    read = parse_ipvsadm_save(IPVSADM)
    assert not read.problems
    assert print_ipvsadm_save(read) == IPVSADM
    assert [server.family for server in read.servers] == ["ipv4", "ipv6", "ipv4", "ipv4", "ipv6"]
    mh = read.servers[1]
    assert (mh.protocol, mh.address, mh.port, mh.persistent_seconds) == ("udp", "fd00:10:96::a", 53, 600)
    assert mh.servers == (RealServer("fd00:10:244::5", 53, weight=0),)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("create KUBE-IPVS-IPS", "not a set"),
        ("create KUBE-CLUSTER-IP hash:ip,port family inet", "there twice"),
        ("create x hash:ip family", "family has no value"),
        ("create x hash:ip nonsense", "'nonsense' is not an option"),
        ("add nowhere 10.0.0.1", "not made"),
        ("add KUBE-CLUSTER-IP 10.96.0.1", "not a member of a hash:ip,port set"),
        ("add KUBE-CLUSTER-IP 10.96.0.1,tcp:http", "not a member"),
        ("add KUBE-6-NODE-PORT-TCP", "not a member"),
        ("add KUBE-6-NODE-PORT-TCP 30080-30090", "not a member"),
        ("ipset v7.17: Kernel error received", "not a line"),
    ],
)
def test_a_bad_line_of_ipset(line: str, why: str) -> None:
    [problem] = parse_ipset_save(IPSET + line + "\n").problems
    assert problem.text == line
    assert why in problem.why


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-A -t 10.96.0.1:443 -s rr", "there twice"),
        ("-A -t 10.96.0.1 -s rr", "not an address"),
        ("-A -t 10.96.0.1:99999 -s rr", "not an address"),
        ("-A -t kubernetes:https -s rr", "not an address"),
        ("-A -t 10.96.0.9:1 -s rr -z 1", "not a line"),
        ("-a -t 10.96.0.9:1 -r 10.0.0.1:1 -m -w 1", "not there"),
        ("-a -t 10.96.0.1:443 -r 10.0.0.1:1 -m", "not a line"),
        ("-a -t 10.96.0.1:443 -r 10.0.0.x:1 -m -w 1", "not an address"),
        ("TCP  10.96.0.1:443 rr", "not a line"),
    ],
)
def test_a_bad_line_of_ipvsadm(line: str, why: str) -> None:
    [problem] = parse_ipvsadm_save(IPVSADM + line + "\n").problems
    assert problem.text == line
    assert why in problem.why


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_dump_is_a_problem(text: str) -> None:
    for parse in (parse_ipset_save, parse_ipvsadm_save):
        assert [problem.why for problem in parse(text).problems] == ["the dump is empty"]


LINE = st.text(alphabet=st.sampled_from('abAt-[]:.,/ 0159"sruwmp\t\0é'), max_size=40)


@given(st.lists(st.one_of(LINE, st.sampled_from([*IPSET.splitlines(), *IPVSADM.splitlines()])), max_size=12))
def test_no_text_breaks_the_readers_and_no_line_is_lost(lines: list[str]) -> None:
    text = "\n".join(lines)
    for parse, count in (
        (parse_ipset_save, lambda read: sum(1 + len(item.elements) for item in read.sets)),
        (parse_ipvsadm_save, lambda read: sum(1 + len(server.servers) for server in read.servers)),
    ):
        read = parse(text)
        problems = [problem for problem in read.problems if problem.where]
        assert count(read) + len(problems) == sum(1 for line in text.splitlines() if line.strip())


def test_an_interface() -> None:
    entries = [
        {"ifname": "lo", "addr_info": []},
        {
            "ifname": "kube-ipvs0",
            "flags": ["BROADCAST", "NOARP", "UP"],
            "addr_info": [
                {"family": "inet", "local": "10.96.0.1", "prefixlen": 32},
                {"family": "inet6", "local": "fd00:10:96:0::1", "prefixlen": 128},
            ],
        },
    ]
    link = parse_link(entries, "kube-ipvs0", "ipv6")
    assert link is not None
    assert ([element.key for element in link.addresses], link.up) == (["fd00:10:96::1/128"], True)
    assert parse_link(entries, "eth9", "ipv4") is None
    for broken in (
        [1],
        [{"ifname": "kube-ipvs0", "addr_info": [{"family": "inet"}]}],
        [{"ifname": "kube-ipvs0", "addr_info": 3}],
    ):
        with pytest.raises(ValueError):
            parse_link(broken, "kube-ipvs0", "ipv4")  # type: ignore[arg-type]


def test_an_interface_that_is_up_is_noted() -> None:
    bench = rich()
    text = bench.files["ip-addr.json"].replace('"NOARP"', '"NOARP", "UP"')
    assert any("kube-ipvs0 is up" in note.text for note in bench.checked(ip_addr_json=text).notes)

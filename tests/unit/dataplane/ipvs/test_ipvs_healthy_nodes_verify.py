"""A healthy node raises no alarm, whatever else lives on it and whatever it is in the middle of."""

from __future__ import annotations

import json
import random
import re

import pytest
from ipvs_support import CONFIG, GOLDEN, Bench, node_snapshot, objects, rich
from msgspec.structs import replace

from kubewire.dataplane.check import check_snapshot
from kubewire.dataplane.core.registry import KINDS
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.verify.report import coverage_gaps


@pytest.mark.parametrize("node", ["rich-worker", "rich-worker2"])
def test_every_check_passes(node: str) -> None:
    checked = rich(node).checked()
    assert {check.status for check in checked.checks} == {"passed"}
    assert checked.notes == []
    assert not coverage_gaps("ipvs", [node], ["ipv4", "ipv6"], checked.checks)
    told = {check.id for check in checked.checks}
    known = {kind for kind, known in KINDS.items() if kind.startswith("ipvs.") and "ipvs" in known.modes}
    assert known - told == {"ipvs.extra", "ipvs.order"}  # which only tell what is wrong


def test_order_and_growth_mean_nothing() -> None:
    bench = rich()
    lines = bench.files["ipset-save.txt"].splitlines()
    creates, adds = ([line for line in lines if line.startswith(word)] for word in ("create", "add"))
    random.Random(1).shuffle(adds)
    text = re.sub(
        r"hashsize 1024(.*)", r"hashsize 8192\1 bucketsize 12 initval 0xfe28ea97", "\n".join(creates)
    )
    blocks = re.findall(r"^-A.*\n(?:-a.*\n)*", bench.files["ipvsadm-save.txt"], re.MULTILINE)
    assert not bench.failed(
        ipset_save_txt="\n".join([text, *adds]), ipvsadm_save_txt="".join(reversed(blocks))
    )


def test_what_others_own_is_noted() -> None:
    bench = rich()
    kubelet = (
        ":KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\n-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 "
        '-m comment --comment "block incoming localnet connections" '
        "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n"
    )
    tables = bench.files["iptables-save.txt"]
    first, rest = tables.split("-A INPUT", 1)
    checked = bench.checked(
        iptables_save_txt=f"{first}{kubelet}-A INPUT{rest}",
        ipset_save_txt=bench.files["ipset-save.txt"]
        + "create cali40all hash:net family inet\nadd cali40all 10.0.0.0/8\n",
        ipvsadm_save_txt=bench.files["ipvsadm-save.txt"] + "-A -t 198.51.100.9:80 -s wlc\n",
    )
    assert not [check for check in checked.checks if check.status == "failed"]
    notes = "\n".join(note.text for note in checked.notes)
    assert "1 rule of kubelet" in notes
    assert "cali40all" in notes
    assert "-t 198.51.100.9:80 is not kube-proxy's, left alone (ipvs.excludeCIDRs)" in notes


def test_chains_left_from_iptables_mode_are_noted() -> None:
    bench = rich()
    left = ":KUBE-SVC-FREKB6WNWYJLKTHC - [0:0]\n:KUBE-PROXY-CANARY - [0:0]\n"
    tables = bench.files["iptables-save.txt"].replace(":KUBE-SERVICES", f"{left}:KUBE-SERVICES")
    checked = bench.checked(iptables_save_txt=tables)
    assert not [check for check in checked.checks if check.status == "failed"]
    assert any("KUBE-SVC-FREKB6WNWYJLKTHC" in note.text for note in checked.notes)


SHARED = {
    "services": [
        {
            "name": name,
            "spec": {"clusterIP": ip, "externalIPs": ["192.0.2.50"], "ports": [{"port": 80}]},
            "slices": [{"ports": [{"name": "", "port": 80}], "endpoints": [{"ip": endpoint}]}],
        }
        for name, ip, endpoint in (("a", "10.96.0.1", "10.244.1.1"), ("b", "10.96.0.2", "10.244.1.2"))
    ]
}


def shared() -> Bench:
    cluster, node = objects(SHARED)
    links = [{"ifname": "eth0", "addr_info": [{"family": "inet", "local": "172.18.0.2"}]}]
    return Bench(Snapshot(cluster, (node_snapshot(cluster, node, links, CONFIG),)))


@pytest.mark.parametrize("endpoint", ["10.244.1.1", "10.244.1.2"])
@pytest.mark.parametrize("leaving", [False, True])
def test_two_services_with_one_external_ip_take_turns(endpoint: str, *, leaving: bool) -> None:
    bench = shared()
    own = [line for line in bench.files["ipvsadm-save.txt"].splitlines() if "192.0.2.50" not in line]
    turn = ["-A -t 192.0.2.50:80 -s rr", f"-a -t 192.0.2.50:80 -r {endpoint}:80 -m -w 1"]
    if leaving:
        other = {"10.244.1.1": "10.244.1.2", "10.244.1.2": "10.244.1.1"}[endpoint]
        turn.append(f"-a -t 192.0.2.50:80 -r {other}:80 -m -w 0")
    assert bench.failed(ipvsadm_save_txt="\n".join([*own, *turn])) == []


def test_two_services_with_one_external_ip_never_share_it() -> None:
    bench = shared()
    own = [line for line in bench.files["ipvsadm-save.txt"].splitlines() if "192.0.2.50" not in line]
    mixed = [f"-a -t 192.0.2.50:80 -r 10.244.1.{number}:80 -m -w 1" for number in (1, 2)]
    failed = bench.failed(ipvsadm_save_txt="\n".join([*own, "-A -t 192.0.2.50:80 -s rr", *mixed]))
    assert "ipvs.extra" in {check.id for check in failed}


@pytest.mark.parametrize("late", [False, True])
def test_node_ports_on_service_addresses_may_come_late(*, late: bool) -> None:
    """nodePortAddresses that hold cluster IPs: kube-proxy sees those that kube-ipvs0 had before a sync."""
    ports = [{"port": 80, "nodePort": 30080, "protocol": "SCTP"}]
    cluster, node = objects(
        {"services": [{"spec": {"type": "NodePort", "clusterIP": "10.96.0.1", "ports": ports}}]}
    )
    links = [{"ifname": "eth0", "addr_info": [{"family": "inet", "local": "10.18.0.2"}]}]
    config = {**CONFIG, "nodePortAddresses": ["10.0.0.0/8"]}
    snapshot = node_snapshot(cluster, node, links, config)
    files = dict(snapshot.files)
    assert "10.96.0.1,sctp:30080" in files["ipset-save.txt"]
    if late:
        files["ipvsadm-save.txt"] += "-A --sctp-service 10.96.0.1:30080 -s rr\n"
    else:
        files["ipset-save.txt"] = files["ipset-save.txt"].replace(
            "add KUBE-NODE-PORT-SCTP-HASH 10.96.0.1,sctp:30080\n", ""
        )
    checked = check_snapshot(Snapshot(cluster, (NodeSnapshot(node, files),)))
    assert not [check for check in checked.checks if check.status == "failed"]


def test_nodes_that_disagree_are_named() -> None:
    one, two = rich("rich-worker").snapshot, rich("rich-worker2").snapshot.nodes[0]
    files = {
        **two.files,
        "ipvsadm-save.txt": two.files["ipvsadm-save.txt"].replace(
            " -r 10.244.1.2:80 -m -w 1", " -r 10.244.1.2:80 -m -w 9"
        ),
    }
    both = replace(one, nodes=(*one.nodes, two))
    [agreed, _] = [check for check in check_snapshot(both).checks if check.id == "dataplane.agreement"]
    assert (agreed.status, agreed.object) == ("passed", "ipv4 virtual servers")
    odd = replace(one, nodes=(*one.nodes, NodeSnapshot(two.name, files)))
    [told] = [c for c in check_snapshot(odd).checks if c.id == "dataplane.agreement" and c.status == "failed"]
    assert "-t 10.96.9.1:8000 differs on" in told.observed


def test_recorded_addresses_are_real() -> None:
    path = GOLDEN / "dataplane" / "rich-iptables-v1.37.2" / "nodes" / "rich-worker" / "ip-addr.json"
    assert {"lo", "eth0"} <= {link["ifname"] for link in json.loads(path.read_text())}

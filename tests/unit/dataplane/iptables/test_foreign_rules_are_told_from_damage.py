"""Built-in chains: foreign rules are left alone unless they can touch service traffic; jumps stand once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dataplane_golden import Bench, bench, load
from kubewire.dataplane.check import check_snapshot
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import NodeSnapshot


def insert(dump: str, table: str, *lines: str) -> str:
    """The dump with chain declarations and rules added to a table."""
    head, mark, tail = dump.partition(f"*{table}\n")
    declared = [line for line in lines if line.startswith(":")]
    rules = [line for line in lines if not line.startswith(":")]
    body, commit, rest = tail.partition("COMMIT\n")
    return (
        head
        + mark
        + "".join(f"{x}\n" for x in declared)
        + body
        + "".join(f"{x}\n" for x in rules)
        + commit
        + rest
    )


def strays(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.id == "iptables.stray" and check.status == "failed"]


@pytest.mark.parametrize(
    ("table", "rule", "service"),
    [
        (
            "nat",
            "-A PREROUTING -d 10.96.9.1/32 -p tcp -m tcp --dport 8000 -j DNAT --to-destination 1.2.3.4:80",
            "default/httpbin:http",
        ),
        ("nat", "-A OUTPUT -p tcp -m tcp --dport 30080 -j REDIRECT --to-ports 9", "default/nodeport"),
        ("nat", "-A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE", ""),
        ("filter", "-A FORWARD -j DROP", ""),
        ("filter", "-A FORWARD -d 10.244.1.2/32 -j REJECT --reject-with icmp-port-unreachable", ""),
        ("filter", "-A INPUT -p tcp -m multiport --dports 22,30000:32767 -j DROP", ""),
        (
            "filter",
            '-A OUTPUT -d 10.96.0.0/16 -m comment --comment "no \\"services\\" -j ACCEPT" -j DROP',
            "",
        ),
        ("nat", "-A PREROUTING -j KUBE-MARK-MASQ", ""),
        ("nat", "-A INPUT -s 10.244.0.0/16 -j SNAT --to-source 1.2.3.4", ""),
    ],
)
def test_a_stray_rule_that_can_match_fails_with_its_text(
    worker: Bench, table: str, rule: str, service: str
) -> None:
    failed = worker.failed(insert(worker.dump, table, rule))
    [stray] = strays(failed)
    assert stray.observed == rule
    assert stray.service == service
    assert stray.object.split()[:2] == ["iptables", table]
    assert "it can match" in stray.reason


@pytest.mark.parametrize(
    ("table", "lines"),
    [
        ("filter", ["-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"]),
        ("filter", ["-A INPUT -i lo -j ACCEPT"]),
        ("filter", ["-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]),
        ("filter", ["-A FORWARD -d 198.51.100.0/24 -j DROP"]),
        ("filter", ['-A FORWARD -j LOG --log-prefix "all of it "']),
        ("nat", ["-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"]),
        (
            "nat",
            [
                ":KIND-MASQ-AGENT - [0:0]",
                "-A POSTROUTING -m addrtype ! --dst-type LOCAL -m comment --comment x -j KIND-MASQ-AGENT",
                "-A KIND-MASQ-AGENT -j MASQUERADE",
            ],
        ),
        (
            "nat",
            [":CNI-HOSTPORT-DNAT - [0:0]", "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT"],
        ),
        ("nat", [":DOCKER_OUTPUT - [0:0]", "-A OUTPUT -d 172.18.0.1/32 -j DOCKER_OUTPUT"]),
        ("mangle", [":KUBE-IPTABLES-HINT - [0:0]", ":KUBE-KUBELET-CANARY - [0:0]"]),
        ("nat", [":KUBE-MARK-DROP - [0:0]", "-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000"]),
        ("nat", [":KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]", "-A KUBE-SEP-AAAAAAAAAAAAAAAA -j MARK"]),
    ],
)
def test_what_is_foreign_and_harmless_is_a_note(worker: Bench, table: str, lines: list[str]) -> None:
    checks, notes = worker.checked(insert(worker.dump, table, *lines))
    assert [check for check in checks if check.status == "failed"] == []
    assert len(notes) >= 1
    if lines[-1].startswith("-A FORWARD"):
        assert any(lines[-1] in note.text for note in notes)


def test_owners_are_named(worker: Bench) -> None:
    dump = insert(worker.dump, "nat", ":KIND-MASQ-AGENT - [0:0]", "-A POSTROUTING -j KIND-MASQ-AGENT")
    dump = insert(dump, "filter", ":DOCKER-USER - [0:0]", "-A FORWARD -j DOCKER-USER")
    texts = [note.text for note in worker.checked(dump)[1]]
    assert "iptables nat: chains of kindnet, left alone: KIND-MASQ-AGENT" in texts
    assert "iptables filter FORWARD: 1 rule of Docker, left alone" in texts


def test_a_leftover_chain_that_packets_reach_is_no_note(worker: Bench) -> None:
    stale = [":KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]", "-A KUBE-SVC-AAAAAAAAAAAAAAAA -j RETURN"]
    dump = insert(worker.dump, "nat", *stale, "-A KUBE-NODEPORTS -j KUBE-SVC-AAAAAAAAAAAAAAAA")
    objects = {check.object for check in worker.failed(dump) if check.id == "iptables.extra"}
    assert objects == {"iptables nat KUBE-SVC-AAAAAAAAAAAAAAAA", "iptables nat KUBE-NODEPORTS"}


def test_a_jump_stands_exactly_once_in_its_exact_form(worker: Bench) -> None:
    jump = '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    for dump, observed in (
        (worker.dump.replace(f"{jump}\n", ""), "(missing)"),
        (insert(worker.dump, "nat", jump), f"{jump}\n{jump}"),
        (worker.dump.replace(jump, jump.replace("-m", "-p tcp -m", 1)), jump.replace("-m", "-p tcp -m", 1)),
    ):
        [finding] = [check for check in worker.failed(dump) if check.id == "iptables.jump"]
        assert finding.object == "iptables nat PREROUTING -> KUBE-SERVICES"
        assert (finding.expected, finding.observed) == (jump, observed)


def test_jumps_may_stand_in_any_order(worker: Bench) -> None:
    lines = worker.dump.splitlines()
    at = [index for index, line in enumerate(lines) if line.startswith("-A INPUT")]
    lines[at[0] : at[-1] + 1] = reversed(lines[at[0] : at[-1] + 1])
    assert worker.failed("\n".join(lines)) == []


def test_an_optional_rule_hides_nothing() -> None:
    """Without localhost node ports KUBE-FIREWALL may hold kubelet's rule, but no other."""
    node = bench("variants-iptables-v1.37.2", "no-localhost", "ipv4")
    kubelet = (
        '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" '
        "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
    )
    assert node.failed(insert(node.dump, "filter", f"-A KUBE-FIREWALL {kubelet}")) == []
    other = kubelet.replace("DROP", "ACCEPT")
    failed = node.failed(insert(node.dump, "filter", f"-A KUBE-FIREWALL {other}"))
    assert [check.id for check in failed] == ["iptables.extra", "iptables.table"]


def test_a_stray_rule_in_a_table_that_kube_proxy_never_uses(worker: Bench) -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 10.96.9.1/32 -j DROP\nCOMMIT\n"
    [stray] = worker.failed(raw + worker.dump)
    assert (stray.id, stray.object) == ("iptables.stray", "iptables raw PREROUTING")
    harmless = raw.replace("10.96.9.1/32", "198.51.100.1/32")
    assert worker.failed(harmless + worker.dump) == []


def test_a_policy_of_drop_is_worth_a_word_beside_rules_that_accept(worker: Bench) -> None:
    head, start, rest = worker.dump.partition("*filter\n")
    dropping = head + start + rest.replace(":FORWARD ACCEPT", ":FORWARD DROP", 1)
    checks, notes = worker.checked(
        insert(dropping, "filter", ":DOCKER-USER - [0:0]", "-A FORWARD -j DOCKER-USER")
    )
    assert {check.status for check in checks} == {"passed"}
    assert notes[0].text.startswith("iptables filter FORWARD: policy DROP")


@pytest.mark.parametrize(
    ("table", "chain"), [("filter", "FORWARD"), ("filter", "OUTPUT"), ("nat", "PREROUTING")]
)
def test_a_policy_of_drop_with_nobody_to_accept_fails(worker: Bench, table: str, chain: str) -> None:
    head, start, rest = worker.dump.partition(f"*{table}\n")
    [stray] = strays(worker.failed(head + start + rest.replace(f":{chain} ACCEPT", f":{chain} DROP", 1)))
    assert (stray.object, stray.observed) == (f"iptables {table} {chain}", f":{chain} DROP [0:0]")


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ("nat", "-A PREROUTING -d 10.96.9.1/32 ! -i docker0 -j DNAT --to-destination 1.2.3.4"),
        ("nat", "-A PREROUTING ! -i docker0 -j DNAT --to-destination 1.2.3.4"),
        ("nat", "-A PREROUTING -d 10.96.9.1/32 -j CNI-SOMETHING"),
        ("filter", "-A FORWARD -d 10.96.9.1/32 -i docker0 -j DROP"),
        ("nat", '-A OUTPUT -d 10.96.9.1/32 -m comment --comment "flanneld masq" -j RETURN'),
    ],
)
def test_no_owner_may_single_out_a_service(worker: Bench, table: str, rule: str) -> None:
    [stray] = strays(worker.failed(insert(worker.dump, table, rule)))
    assert stray.observed == rule


def test_in_nftables_mode_iptables_rules_of_others_count_too() -> None:
    snapshot = load("rich-nftables-v1.37.2")
    first, *others = snapshot.nodes
    stray = "-A PREROUTING -d 10.96.9.1/32 -p tcp -m tcp --dport 8000 -j DNAT --to-destination 1.2.3.4:80"
    dump = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:KIND-MASQ-AGENT - [0:0]\n"
        f"{stray}\n-A POSTROUTING -j KIND-MASQ-AGENT\n-A KIND-MASQ-AGENT -j MASQUERADE\nCOMMIT\n"
    )
    node = NodeSnapshot(first.name, {**first.files, "iptables-save.txt": dump})
    checked = check_snapshot(replace(snapshot, nodes=(node, *others)))
    [failed] = [check for check in checked.checks if check.status == "failed"]
    assert (failed.id, failed.service, failed.observed) == ("iptables.stray", "default/httpbin:http", stray)
    assert any("kindnet" in note.text for note in checked.notes)

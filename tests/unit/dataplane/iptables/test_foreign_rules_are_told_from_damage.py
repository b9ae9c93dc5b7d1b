"""Built-in chains: foreign rules are no damage to kube-proxy's, their owners are named; jumps stand once."""

from __future__ import annotations

import pytest

from dataplane_golden import Bench, bench


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

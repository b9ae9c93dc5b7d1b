"""The real nft takes the expected table of every generation and lists it back word for word."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from nft_support import OWN, WORDS, Recorded, compare, failed, recorded

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Dataplane, Set
from kubewire.dataplane.nftables.compare import element_text

NODES = [
    recorded(OWN / "every-feature-v1.37.2" / "nodes" / "node-a"),
    recorded(OWN / "all-addresses-mark-20-v1.37.2" / "nodes" / "node-a"),
]
VERSIONS = ["v1.29.6", "v1.30.14", "v1.31.14", "v1.33.5", "v1.33.13", "v1.34.4", "v1.36.3", "v1.37.2"]
SANDBOX = ["unshare", "--user", "--map-root-user", "--net"]


def can_run_nft() -> bool:
    return (
        bool(shutil.which("unshare") and shutil.which("nft"))
        and not subprocess.run([*SANDBOX, "nft", "add", "table", "ip", "x"], capture_output=True).returncode
    )


pytestmark = pytest.mark.skipif(not can_run_nft(), reason="needs nft in a user namespace")


def script(table: Dataplane, ip: str) -> str:
    """The expected table as nft's input, with address sets as kube-proxy writes them: not merged."""
    chains = [
        f"chain {chain.name} {{ type {h.type} hook {h.name} priority {h.priority}; policy {h.policy}; }}"
        if (h := chain.hook)
        else f"chain {chain.name} {{ }}"
        for chain in table.chains
    ]
    rules = [
        f"add rule {ip} kube-proxy {chain.name} {[rule.text, *rule.alternatives][-1]}"
        for chain in table.chains
        for rule in chain.rules()
    ]
    body = "\n".join([*chains, *(declaration(item) for item in table.sets)])
    elements = [
        f"add element {ip} kube-proxy {item.name} {{ {', '.join(map(element_text, item.elements))} }}"
        for item in table.sets
        if item.elements
    ]
    return f"table {ip} kube-proxy {{\n{body}\n}}\n" + "\n".join([*rules, *elements, ""])


def declaration(item: Set) -> str:
    kind, value = ("map", " : verdict") if item.value_type else ("set", "")
    options = "".join(
        f" {option.replace('flags timeout', 'flags dynamic,timeout')};" for option in item.options
    )
    comment = f' comment "{item.comment}";' if item.comment else ""
    return f"{kind} {item.name} {{ type {item.key_type}{value};{options}{comment} }}"


@pytest.mark.parametrize("family", list(WORDS))
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("node", NODES, ids=["every-feature", "all-addresses"])
def test_round_trip(node: Recorded, version: str, family: IpFamily) -> None:
    expected, ip = node.expected(family, version), WORDS[family]
    # The kernel stores comments of at most 128 bytes, and up to 1.36 kube-proxy failed on longer ones.
    text = script(expected, ip).replace("n" * 63 + "/" + "e" * 63 + ":long-port-name1", "cut")
    listed = subprocess.run(
        [*SANDBOX, "sh", "-c", f"nft -f - && nft -j list table {ip} kube-proxy"],
        input=text,
        capture_output=True,
        text=True,
    )
    assert listed.returncode == 0, listed.stderr
    checks, notes = compare(expected, listed.stdout, family)
    assert {(check.id, check.service[:3]) for check in failed(checks)} <= {
        ("nftables.no-endpoints", "nnn"),
        ("nftables.table", ""),
    }
    assert notes == []

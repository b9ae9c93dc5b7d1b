"""doctor tries what kube-proxy will ask of this machine, and names each refused piece with its mend."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kubewire.core import processes
from kubewire.providers.base import Finding
from kubewire.providers.netns import linux, modules, netfilter, preflight
from kubewire.providers.netns.preflight import Requirement

Tool = Callable[[str, str], None]
COUNTERS, TABLES = "kernel: xt_nfacct (iptables)", "nft tables here (nftables)"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Puts a script in a tool's place; `unshare` only runs what it is told."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{processes.search_path()}")

    def put(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    put("unshare", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    return put


def lists(tool: Tool, broken: str = "no", version: str = "1.0.6") -> None:
    """An nft that ends by SIGSEGV at a table, as one of an older libnftnl does."""
    tool(
        "nft",
        f"""case "$*" in
*version) echo "nftables v{version} (Lester Gooch #5)" ;;
"list tables") printf "table ip mangle\\ntable inet newer\\n" ;;
*ruleset) [ {broken} = no ] || kill -SEGV $$ ;;
*{broken}) kill -SEGV $$ ;;
esac""",
    )


def found(monkeypatch: pytest.MonkeyPatch, states: dict[str, str], *needs: Requirement) -> dict[str, Finding]:
    monkeypatch.setattr(preflight, "survey", lambda **_: list(needs))
    monkeypatch.setattr(modules, "states", lambda names: {n: states.get(n, "loaded") for n in names})
    return {each.name: each for each in preflight.findings()}


def test_each_refused_extension_is_named_alone(tool: Tool) -> None:
    tool("iptables-restore", """grep -q -e '-m recent' && echo "Couldn't load match" >&2 && exit 2; exit 0""")
    (need,) = (n for n in preflight._netfilter(load=True) if n.name == "kernel: iptables rules")
    assert (need.ok, need.detail) == (False, "recent (session affinity): Couldn't load match")
    assert "install the iptables package" in need.hint
    tool("iptables-restore", "echo 'no kernel support' >&2; exit 3")
    (need,) = (n for n in preflight._netfilter(load=True) if n.name == "kernel: iptables rules")
    assert need.detail == "no kernel support"
    assert "another kernel" in need.hint


@pytest.mark.parametrize("trial", [netfilter.IPTABLES, netfilter.NFTABLES], ids=lambda trial: trial.argv[0])
def test_each_part_works_alone_in_a_real_namespace(trial: netfilter.Trial) -> None:
    if shutil.which(trial.argv[0], path=processes.search_path()) is None:
        pytest.skip(f"no {trial.argv[0]}")
    assert [name for name, part in trial.parts.items() if replace(trial, parts={name: part}).refused()] == []
    odd = replace(trial, parts={**trial.parts, "odd": "nat -A KUBE-TRY -m nosuch -j RETURN"})
    assert odd.refused().startswith("odd: ")


@pytest.mark.parametrize(
    ("accounting", "match", "state", "word"),
    [
        ("loaded", "absent", "note", "no sync of kube-proxy succeeds (k/k#142068)"),
        ("loadable", "absent", "note", "no sync of kube-proxy succeeds (k/k#142068)"),
        ("loaded", "loadable", "note", "not tried: that may load xt_nfacct"),
        ("unknown", "unknown", "note", "not tried: that may load nfnetlink_acct, xt_nfacct"),
        ("loaded", "loaded", "ok", "works"),
        ("absent", "absent", "ok", "works"),
    ],
)
def test_a_kernel_on_which_kube_proxy_cannot_sync_is_named(
    monkeypatch: pytest.MonkeyPatch, accounting: str, match: str, state: str, word: str
) -> None:
    monkeypatch.setattr(netfilter, "in_throwaway", lambda *_: "no counter: Operation not supported")
    named = found(monkeypatch, {"nfnetlink_acct": accounting, "xt_nfacct": match})[COUNTERS]
    assert named.state == state
    assert word in named.detail


def test_a_counter_whose_rule_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netfilter, "in_throwaway", lambda *_: "iptables-restore: RULE_APPEND failed")
    named = found(monkeypatch, {})[COUNTERS]
    assert named.detail.startswith("iptables-restore: RULE_APPEND failed: from 1.31 on")
    assert "mode nftables" in named.hint


def test_without_namespaces_no_counter_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netfilter, "in_throwaway", pytest.fail)
    refused = Requirement("namespaces", False, "unshare is refused: Operation not permitted")
    assert found(monkeypatch, {}, refused)[COUNTERS].detail == f"not tried: {refused.detail}"


@pytest.mark.parametrize(("version", "state"), [("1.0.0", "note"), ("0.9.8", "note"), ("1.0.1", "ok")])
def test_an_nft_that_kube_proxy_refuses_is_named(
    monkeypatch: pytest.MonkeyPatch, tool: Tool, version: str, state: str
) -> None:
    lists(tool, version=version)
    named = found(monkeypatch, {})["nft (nftables)"]
    assert (named.state, bool(named.hint)) == (state, state == "note")
    assert f"v{version}" in named.detail


@pytest.mark.parametrize(
    ("release", "state"), [("5.10.0-28-amd64", "note"), ("5.13", "ok"), ("6.1.0-9", "ok")]
)
def test_a_kernel_that_kube_proxy_refuses_is_named(
    monkeypatch: pytest.MonkeyPatch, tool: Tool, release: str, state: str
) -> None:
    lists(tool)
    monkeypatch.setattr(preflight.platform, "release", lambda: release)
    assert found(monkeypatch, {})["kernel (nftables)"].state == state


def test_the_table_that_nft_cannot_read_is_named(monkeypatch: pytest.MonkeyPatch, tool: Tool) -> None:
    monkeypatch.setattr(linux, "may_make_namespaces", lambda: True)
    lists(tool, broken="newer")
    named = found(monkeypatch, {})[TABLES]
    assert named.detail.startswith("table inet newer: ended by signal 11: ")
    assert "k/k#136786" in named.detail
    assert "install an nft as new" in named.hint
    lists(tool)
    assert found(monkeypatch, {})[TABLES].state == "ok"


@pytest.mark.parametrize(("root", "state"), [(False, "loaded"), (True, "loadable")])
def test_tables_are_not_listed_without_rights_or_where_that_loads_a_module(
    monkeypatch: pytest.MonkeyPatch, tool: Tool, root: bool, state: str
) -> None:
    lists(tool)
    monkeypatch.setattr(linux, "may_make_namespaces", lambda: root)
    monkeypatch.setattr(netfilter, "unread_tables", pytest.fail)
    monkeypatch.setattr(netfilter, "counters_refused", lambda: "")
    assert found(monkeypatch, {"nf_tables": state})[TABLES].detail.startswith("not tried: ")

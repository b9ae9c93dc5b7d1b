"""The masquerade rules: right text for iptables-restore, and stable under a real iptables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from kubewire.providers.masquerade import CHAIN, JUMP, declared, restore_input, rules

SUBNETS = ["10.244.0.0/16"]
(WANTED,) = declared(SUBNETS)
RIGHT = "\n".join(["*nat", f":{CHAIN} - [0:0]", JUMP, *rules(SUBNETS), "COMMIT", ""])


def test_nothing_to_do_when_all_is_there() -> None:
    assert restore_input(WANTED, RIGHT) == ("", [])


def test_from_nothing() -> None:
    text, mended = restore_input(WANTED, "*nat\nCOMMIT\n")
    assert text.splitlines() == ["*nat", f":{CHAIN} - [0:0]", *rules(SUBNETS), JUMP, "COMMIT"]
    assert len(mended) == 2


def test_only_what_is_broken_is_touched() -> None:
    text, mended = restore_input(WANTED, RIGHT.replace(JUMP + "\n", ""))
    assert text.splitlines() == ["*nat", JUMP, "COMMIT"]
    assert mended == ["the jump from POSTROUTING to KIND-MASQ-AGENT put back"]


def test_rules_in_the_wrong_order_are_written_anew() -> None:
    swapped = "\n".join(["*nat", JUMP, *reversed(rules(SUBNETS)), "COMMIT"])
    text, _ = restore_input(WANTED, swapped)
    assert text.splitlines() == ["*nat", f":{CHAIN} - [0:0]", *rules(SUBNETS), "COMMIT"]


SCRIPT = r"""
import json, subprocess
from pathlib import Path
from kubewire.providers import masquerade
from kubewire.providers.netns.agent.repair import ensure_masquerade
from kubewire.providers.netns.agent_config import Node

node = Node("n", "worker", ("172.18.0.2",), Path("/proc/self/ns/net"))
subnets = ["10.244.0.0/16", "fd00:10:244::/56"]
def run(*argv): return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
steps = [ensure_masquerade(node, subnets), ensure_masquerade(node, subnets)]
run("iptables", "-t", "nat", "-F", masquerade.CHAIN)
run("ip6tables", "-t", "nat", "-D", "POSTROUTING", "1")
steps += [ensure_masquerade(node, subnets), ensure_masquerade(node, subnets)]
twice = f"*nat\n{masquerade.JUMP}\nCOMMIT\n"
subprocess.run(["iptables-restore", "--noflush"], input=twice, text=True, check=True)
steps += [ensure_masquerade(node, subnets), ensure_masquerade(node, subnets)]
jumps = run("iptables-save", "-t", "nat").count("-j " + masquerade.CHAIN)
print(json.dumps({"steps": steps, "jumps": jumps}))
"""


@pytest.mark.skipif(shutil.which("iptables-save") is None, reason="iptables is not installed")
@pytest.mark.parametrize("rootful", [True, False], ids=["root", "user"])
def test_against_the_real_iptables(inside_sandbox: Callable[..., Any], rootful: bool) -> None:
    found = inside_sandbox(SCRIPT, rootful=rootful)
    first, again, broken, mended, doubled, single = found["steps"]
    assert len(first) == 4
    assert broken == [
        "iptables: the rules of chain KIND-MASQ-AGENT put back",
        "ip6tables: the jump from POSTROUTING to KIND-MASQ-AGENT put back",
    ]
    assert again == mended == single == []
    assert len(doubled) == 1
    assert found["jumps"] == 1

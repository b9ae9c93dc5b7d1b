"""Virtual servers, sets, addresses and rules of ipvs mode, as upstream's own tests have them, by case."""

from __future__ import annotations

from typing import Any

import pytest
from ipvs_support import cases, expected_of

from kubewire.dataplane.iptables.observed import rule_line
from kubewire.dataplane.ipvs import names
from printed_dumps import print_ipvsadm_save

CASES = cases()


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])
def test_case(case: dict[str, Any]) -> None:
    expected = expected_of(case)
    family = case.get("family", "ipv4")
    assert set(print_ipvsadm_save(expected).splitlines()) == set(case["servers"].splitlines())
    filled = {item.name: [element.key for element in item.elements] for item in expected.sets}
    assert sorted(filled) == sorted(names.set_name(name, family) for name in names.SETS)
    assert {name: sorted(keys) for name, keys in filled.items() if keys} == {
        name: sorted(keys) for name, keys in case["sets"].items()
    }
    [interface] = expected.links
    assert sorted(element.key for element in interface.addresses) == sorted(case["addresses"])
    chains = {f"{chain.table} {chain.name}": chain for chain in expected.chains}
    for name, text in case.get("chains", {}).items():
        chain = chains[name]
        assert [rule_line(chain, rule) for rule in chain.rules()] == text.splitlines()


def test_there_are_cases() -> None:
    assert len(CASES) >= 40

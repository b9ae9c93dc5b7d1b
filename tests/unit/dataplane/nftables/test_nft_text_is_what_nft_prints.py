"""From nft's JSON the reader makes, word for word, the text that nft itself prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nft_support import DUMP_IDS, DUMPS, OWN, PRINTING, WORDS, recorded

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.nftables.compare import element_text, hook_text
from kubewire.dataplane.nftables.observed import parse_nft_json

_BLOCK = re.compile(r"^\t(chain|set|map) (\S+) \{\n(.*?)^\t\}", re.MULTILINE | re.DOTALL)
OWN_DUMPS = [dump for dump in DUMPS if OWN in dump[0].parents and (dump[0] / "nft-ip.txt").exists()]
OWN_IDS = [name for name, dump in zip(DUMP_IDS, DUMPS, strict=True) if dump in OWN_DUMPS]


def blocks(text: str) -> dict[tuple[str, str], str]:
    return {(kind, name): body for kind, name, body in _BLOCK.findall(text)}


def hold(dataplane: Dataplane, text: str) -> None:
    printed = blocks(text)
    assert {name for kind, name in printed if kind == "chain"} == {chain.name for chain in dataplane.chains}
    assert {name for kind, name in printed if kind != "chain"} == {item.name for item in dataplane.sets}
    for chain in dataplane.chains:
        lines = [line.strip() for line in printed["chain", chain.name].splitlines()]
        own = [hook_text(chain.hook)] if chain.hook else []
        assert [*own, *(rule.text for rule in chain.rules())] == [
            line for line in lines if not line.startswith("comment ")
        ]
    for item in dataplane.sets:
        body = printed["map" if item.value_type else "set", item.name]
        value = f" : {item.value_type}" if item.value_type else ""
        assert f"type {item.key_type}{value}\n" in body
        assert not item.comment or f'comment "{item.comment}"\n' in body
        found = re.search(r"elements = \{ (.*) \}", body, re.DOTALL)
        texts = re.split(r",\s+", found[1]) if found else []
        assert sorted(map(element_text, item.elements)) == sorted(texts)
        for option in item.options:
            assert option.replace("flags timeout", "flags dynamic,timeout") in body


@pytest.mark.parametrize(("folder", "family"), OWN_DUMPS, ids=OWN_IDS)
def test_recorded_tables(folder: Path, family: IpFamily) -> None:
    node = recorded(folder)
    hold(parse_nft_json(node.dump(family), family), node.text(family))


@pytest.mark.parametrize("family", list(WORDS))
def test_rules_that_others_might_add(family: IpFamily) -> None:
    dump = (PRINTING / f"nft-{WORDS[family]}.json").read_text()
    dataplane = parse_nft_json(dump, family)
    assert dataplane.problems == ()
    hold(dataplane, (PRINTING / f"nft-{WORDS[family]}.txt").read_text())

"""A rule whose form was seen before is filled in, not read; it must come out as if it were read in full."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator

import pytest

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Dataplane, Rule
from kubewire.dataplane.nftables import observed as nftables
from kubewire.dataplane.nftables.forms import Forms
from kubewire.dataplane.nftables.observed import ParseError, parse_nft_json
from recorded import FOLDERS, load

FILES: dict[str, IpFamily] = {"nft-ip.json": "ipv4", "nft-ip6.json": "ipv6"}
ODD = (
    "@set-ABCDEFGH-a/b",
    "::",
    "1.2",
    "a %s b",
    "service-ABCDEFGH-%d",
    'with \\"quotes\\"',
    "\\u00011\\u0002",
)
STRING = re.compile(r'"([^"\\]+)"(?!:)')


def dumps() -> Iterator[tuple[str, IpFamily]]:
    for folder in FOLDERS:
        for node in load(folder).nodes:
            for name, family in FILES.items():
                if node.files.get(name, "").strip():
                    yield node.files[name], family


def both(text: str, family: IpFamily, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataplane | str, ...]:
    def reading() -> Dataplane | str:
        try:
            return parse_nft_json(text, family)
        except ParseError as error:
            return str(error)

    quick = reading()
    with monkeypatch.context() as patch:
        patch.setattr(Forms, "rule", lambda *_: None)
        return quick, reading()


def test_every_recorded_table_is_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    for text, family in dumps():
        quick, full = both(text, family, monkeypatch)
        assert quick == full
        seen += 1
    assert seen > 20


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_table_is_read_alike(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    text, family = chance.choice(list(dumps()))
    strings = [match.span(1) for match in STRING.finditer(text)]
    for start, end in sorted(chance.sample(strings, 12), reverse=True):
        other = text[slice(*chance.choice(strings))] if chance.random() < 0.5 else chance.choice(ODD)
        if start < end <= len(text):
            text = text[:start] + other + text[end:]
    quick, full = both(text, family, monkeypatch)
    assert quick == full


def test_only_the_first_rule_of_a_form_is_read() -> None:
    read: list[object] = []

    def reader(body: object) -> Rule:
        read.append(body)
        return nftables._rule(body)  # type: ignore[arg-type]

    forms = Forms(reader)
    for number in range(1, 101):
        chain = f"endpoint-ABCDEF{number % 6 + 2}Z-default/app/tcp/http__10.0.0.{number}/80"
        dnat = {"dnat": {"addr": f"10.0.0.{number}", "port": 80}}
        rule = {"family": "ip", "table": "kube-proxy", "chain": chain, "handle": number, "expr": [dnat]}
        assert forms.rule(json.dumps({"rule": rule})) == (chain, Rule(f"dnat to 10.0.0.{number}:80"))
    assert len(read) == 1

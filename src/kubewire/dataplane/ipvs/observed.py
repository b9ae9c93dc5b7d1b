"""A node's ipvs mode, read from its dumps: `ipset save`, `ipvsadm -Sn`, `ip -j addr`, facts.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kubewire.core.serialization import read_json
from kubewire.dataplane.core.findings import FAMILIES, IpFamily
from kubewire.dataplane.core.iproute import ADDRESSES, parse_link
from kubewire.dataplane.core.model import Dataplane, Link, Problem, Sysctl
from kubewire.dataplane.ipvs.ipset import parse_ipset_save
from kubewire.dataplane.ipvs.ipvsadm import parse_ipvsadm_save
from kubewire.dataplane.ipvs.names import INTERFACE

IPSET, IPVSADM = "ipset-save.txt", "ipvsadm-save.txt"


class IpvsDumps(Struct, frozen=True):
    """All but the iptables tables, of both families; `problems` lists the problems of each dump.

    `usable`: no dump is missing or empty.
    """

    problems: Mapping[str, tuple[Problem | str, ...]]
    usable: bool
    sets: Dataplane
    servers: Dataplane
    links: Mapping[IpFamily, Link | None]
    sysctls: tuple[Sysctl, ...]

    def beside(self, tables: Dataplane, family: IpFamily) -> Dataplane:
        """One family's part with its iptables tables; what belongs to no family comes with IPv4."""
        link = self.links.get(family)
        first = family == "ipv4"
        return replace(
            tables,
            sets=tuple(
                item for item in self.sets.sets if item.family == family or (first and not item.family)
            ),
            servers=tuple(server for server in self.servers.servers if server.family == family),
            links=(link,) if link else (),
            sysctls=self.sysctls if first else (),
        )


def read_ipvs(files: Mapping[str, str], errors: Mapping[str, str]) -> IpvsDumps:
    """Read a snapshot's files of one node; `errors` say why a file could not be taken."""
    sets, servers = parse_ipset_save(files.get(IPSET, "")), parse_ipvsadm_save(files.get(IPVSADM, ""))
    links, trouble = _links(files.get(ADDRESSES, ""))
    problems: dict[str, tuple[Problem | str, ...]] = {
        IPSET: sets.problems,
        IPVSADM: servers.problems,
        ADDRESSES: (trouble,) if trouble else (),
    }
    missing = [name for name in problems if not files.get(name, "").strip()]
    for name in missing:
        problems[name] = (errors.get(name) or "the dump is missing or empty",)
    usable = bool(sets.sets and servers.servers and not problems[ADDRESSES])
    return IpvsDumps(problems, usable, sets, servers, links, _sysctls(files.get("facts.json", "")))


def _links(text: str) -> tuple[dict[IpFamily, Link | None], str]:
    try:
        entries: list[Any] = read_json(text)
        return {family: parse_link(entries, INTERFACE, family) for family in FAMILIES}, ""
    except ValueError as error:
        return {}, str(error)


def _sysctls(text: str) -> tuple[Sysctl, ...]:
    """The sysctls of facts.json; none where there is no such fact."""
    facts = json.loads(text) if text.strip() else {}
    found = facts.get("sysctls") if isinstance(facts, dict) else None
    return tuple(Sysctl(str(name), str(value)) for name, value in (found or {}).items())

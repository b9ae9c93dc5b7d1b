"""Ready endpoints that a Service's chains or virtual servers lack, and others that they have: by address.

The rules tell it too, but where one of sixty endpoints is missing, the shares of all others differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from kubewire.dataplane.core.findings import Check, Place
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.objects import with_port

_SPREADING = ("KUBE-SVC-", "KUBE-SVL-", "service-", "local-")
_TARGET = re.compile(r"(?:-j |\d+ : goto )((?:KUBE-SEP|endpoint)-[^\s,]+)")
_ADDRESS = re.compile(r"(?:--to-destination |dnat to )(\S*:\d+)")
_PAIR = re.compile(r"\d+ : ([0-9a-f.:]+) \. (\d+)")
_WHY = "a connection may go to each ready endpoint and to no other (KEP-752, EndpointSlice)"


class _Members(Struct, frozen=True):
    """The endpoints of one chain or virtual server; `label` as in its other checks."""

    label: str
    name: str
    service: str
    endpoints: Mapping[str, None]


def member_checks(expected: Dataplane, observed: Dataplane, place: Place) -> list[Check]:
    """One failed `service.endpoints` for each Service that differs, a line of `observed` for each endpoint.

    Nothing for one that holds, and for a chain or virtual server that is missing or empty as a whole.
    """
    found = {entry.name: entry for entry in _members(observed, expected, place)}
    checks: dict[str, Check] = {}
    for wanted in _members(expected, expected, place):
        seen = found.get(wanted.name)
        if seen is None or wanted.service in checks or not wanted.endpoints:
            continue
        missing = [each for each in wanted.endpoints if each not in seen.endpoints]
        extra = [each for each in seen.endpoints if each not in wanted.endpoints]
        if not missing and not extra:
            continue
        total = len(wanted.endpoints)
        count = f"{total - len(missing)} of {total}"
        lines = [f"{each} is ready but missing from {wanted.name} ({count})" for each in missing]
        lines += [f"{each} is in {wanted.name} but is no ready endpoint" for each in extra]
        good = f"{total} of {total} ready endpoints, and no other"
        checks[wanted.service] = place.check(
            "service.endpoints", wanted.label, _WHY, good, "\n".join(lines), service=wanted.service
        )
    return list(checks.values())


def _members(dataplane: Dataplane, expected: Dataplane, place: Place) -> Iterator[_Members]:
    if expected.servers:
        from kubewire.dataplane.ipvs.ipvsadm import service_text

        for server in dataplane.servers:
            reals = [real for real in server.servers if real.weight]
            name, service = service_text(server), server.origin.service if server.origin else ""
            endpoints = dict.fromkeys(with_port(real.address, real.port) for real in reals)
            yield _Members(f"ipvsadm {name}", f"virtual server {name}", service, endpoints)
        return
    addresses = {
        chain.name: match[1]
        for source in (expected, dataplane)
        for chain in source.chains
        if chain.name.startswith(("KUBE-SEP-", "endpoint-"))
        for rule in chain.rules()
        if (match := _ADDRESS.search(rule.text))
    }
    nft = place.prefix == "nftables"
    six = "6" if place.family == "ipv6" else ""
    head = f"chain ip{six} kube-proxy" if nft else f"ip{six}tables nat"
    for chain in dataplane.chains:
        texts = [rule.text for rule in chain.rules()] if chain.name.startswith(_SPREADING) else []
        if not texts:
            continue
        targets = [name for text in texts if " --rcheck " not in text for name in _TARGET.findall(text)]
        members = [addresses.get(name, name) for name in targets]
        members += [with_port(ip, port) for text in texts for ip, port in _PAIR.findall(text)]
        members += [match[1] for text in texts if (match := _ADDRESS.search(text))]
        service = chain.origin.service if chain.origin else ""
        yield _Members(f"{head} {chain.name}", chain.name, service, dict.fromkeys(members))

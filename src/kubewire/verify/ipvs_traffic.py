"""What ipvs schedulers guarantee, and the kernel's connection counters: pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from msgspec import structs

from kubewire.dataplane.core.findings import Check, Place
from kubewire.verify.probes import Answer, Probe, Reply

EXACT = frozenset({"rr", "wrr"})
"""In turn: with equal weights over sequential connections no server gets two more than another."""
KEPT = frozenset({"sh", "dh"})
"""By a hash of the address: a source stays on one server (net/netfilter/ipvs/ip_vs_{sh,dh}.c). Not with mh,
to which kube-proxy gives the flag mh-port: each connection's port counts, too."""
EVERY = frozenset({"lc", "wlc"})
"""The least connections, also those that have just ended: each server gets its turn."""
ROUNDS = 3
STATS = ("ipvsadm", "-Ln", "--stats", "--exact")

Counts = dict[tuple[str, str], int]
"""(virtual server, real server) → connections; both as `address:port`."""

_COUNTED = "ip_vs counts each connection that it schedules on its real server; others may send some, too"
_SERVER = re.compile(r"(?:TCP|UDP|SCTP) +(\S+:\d+) +(\d+) ")
_REAL = re.compile(r" +-> (\S+:\d+) +(\d+) ")


def scheduled(probe: Probe, scheduler: str) -> Probe:
    """A probe of the whole spread, checking what this scheduler guarantees."""
    if scheduler in KEPT:
        return replace(probe, scheduler=scheduler, spread=False, sticky=True)
    if scheduler in EXACT | EVERY:
        return replace(probe, scheduler=scheduler, count=ROUNDS * max(1, len(probe.replicas)))
    return replace(probe, scheduler=scheduler, spread=False)


def promised(probe: Probe) -> tuple[str, str]:
    """(expected text, reason) of a spread probe under its scheduler."""
    if probe.scheduler in EXACT:
        expected = f"{probe.count} requests in turn over {len(probe.replicas)} replicas, one more at most"
        return expected, f"scheduler {probe.scheduler} takes the real servers in turn, all of one weight"
    expected = f"{probe.count} requests, some to each of {len(probe.replicas)} replicas"
    return expected, f"scheduler {probe.scheduler} takes the real server with the fewest connections"


def keeps_promise(probe: Probe, counts: Mapping[str, int]) -> bool:
    shares = [counts.get(name, 0) for name in probe.replicas]
    return min(shares) > 0 and (probe.scheduler not in EXACT or max(shares) - min(shares) <= 1)


def parse_stats(text: str) -> Counts:
    """The connection counters of `ipvsadm -Ln --stats --exact`; lines that aren't servers are left out."""
    counts: Counts = {}
    server = ""
    for line in text.splitlines():
        if match := _SERVER.match(f"{line} "):
            server = match[1]
        elif server and (match := _REAL.match(f"{line} ")):
            counts[server, match[1]] = int(match[2])
    return counts


def check_stats(
    asked: Sequence[tuple[Probe, Reply]], before: Counts, after: Counts, pods: Mapping[str, str]
) -> Iterable[Check]:
    """One check for each virtual server that one node's probes went to; `pods` maps address to name."""
    targets = dict.fromkeys((probe.target, probe.service, probe.family, probe.node) for probe, _ in asked)
    for target, service, family, node in targets:
        sent: Counter[str] = Counter()
        whole = True
        for probe, reply in asked:
            if probe.target == target:
                sent.update(answer.served_by for answer in reply.answers if _served(answer))
                whole = whole and len(reply.answers) == probe.count
        seen: Counter[str] = Counter()
        for (server, real), count in after.items():
            if server == target:
                address = real.rpartition(":")[0].strip("[]")
                seen[pods.get(address, address)] += count - before.get((server, real), 0)
        label, expected, observed = f"ipvsadm -Ln --stats {target}", _told(sent), _told(seen)
        check = Place("traffic", node, family).check(
            "traffic.ipvs-stats", label, _COUNTED, expected, observed, ok=sent <= seen, service=service
        )
        why = "not every request was answered"
        yield check if whole else structs.replace(check, status="skipped", reason=why)


def _served(answer: Answer) -> bool:
    return bool(answer.served_by)


def _told(counts: Mapping[str, int]) -> str:
    """`12 connections: 3 + 3 + 3 + 3`, in the order of the replicas' names."""
    shares = [counts[name] for name in sorted(counts) if counts[name]]
    return f"{sum(shares)} connections: {' + '.join(str(share) for share in shares) or 0}"

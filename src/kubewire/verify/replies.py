"""Whether the replies to a probe are as they must be: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from kubewire.dataplane.core import findings
from kubewire.dataplane.core.findings import Check
from kubewire.verify.ipvs_traffic import keeps_promise, promised
from kubewire.verify.probes import REFUSED, TIMED_OUT, Answer, Place, Probe, Reply, Source
from kubewire.verify.statistics import uneven

OK = 200
NO_ENDPOINTS = "a Service without endpoints is rejected with icmp-port-unreachable (pkg/proxy, every mode)"
LOCAL_ONLY = "a Local traffic policy never leaves the node (KEP-2086; Service API, traffic policies)"
ANSWERED = "kube-proxy's DNAT leads each new connection to a ready endpoint"
SCHEDULED = "the virtual server leads each new connection to a ready endpoint"
SPREAD = "each new connection picks a ready endpoint with equal probability"
STICKY = "sessionAffinity: ClientIP keeps a client's address on its endpoint"
HASHED = "scheduler {} picks by a hash of the address, so that a client stays on one real server"
KEPT = "traffic from pods is not masqueraded, so that the replica sees the pod (detectLocalMode)"
MASQUERADED = "what does not come from a pod is masqueraded, so that the answer finds its way back"
MASQUERADE_ALL = "masqueradeAll is set: all cluster IP traffic is masqueraded"
HAIRPIN = "a pod reaching itself must see a foreign source address, else its answer never leaves it"
CLIENT_KEPT = "externalTrafficPolicy: Local keeps the client's address"
NODE_ADDRESS = "an address of the node"

_SOURCES: dict[tuple[Place, Source], tuple[str, str]] = {
    ("pod", "client"): ("traffic.source.pod", KEPT),
    ("pod", "node"): ("traffic.source.pod", MASQUERADE_ALL),
    ("node", "node"): ("traffic.source.node", MASQUERADED),
    ("outside", "node"): ("traffic.source.nodeport", MASQUERADED),
    ("outside", "client"): ("traffic.source.nodeport", CLIENT_KEPT),
}


def check_probe(
    probe: Probe, reply: Reply, addresses: Mapping[str, frozenset[str]], claims: int
) -> Iterator[Check]:
    """The checks of one probe. `addresses` are those of each node; `claims` counts the spread probes."""
    if probe.outcome != "served":
        yield _unanswered(probe, reply)
        return
    yield _answered(probe, reply)
    if probe.spread:
        yield _spread(probe, reply, claims)
    if probe.sticky:
        yield _sticky(probe, reply)
    yield from _sources(probe, reply, addresses)


def _check(probe: Probe, check: str, reason: str, expected: str, observed: str, *, ok: bool) -> Check:
    place = findings.Place("traffic", probe.node, probe.family)
    return place.check(check, probe.object, reason, expected, observed, ok=ok, service=probe.service)


def skipped(probe: Probe, check_id: str, why: str) -> Check:
    """The check that could not run, with the reason."""
    place = findings.Place("traffic", probe.node, probe.family)
    return place.skip(check_id, probe.object, why, service=probe.service)


def _unanswered(probe: Probe, reply: Reply) -> Check:
    refused = probe.outcome == "refused"
    good = not reply.answers and reply.code == (REFUSED if refused else TIMED_OUT)
    expected = "connection refused at once" if refused else "no answer (dropped)"
    reason = probe.why or (NO_ENDPOINTS if refused else LOCAL_ONLY)
    observed = expected if good else _seen(reply)
    return _check(probe, probe.check, reason, expected, observed, ok=good)


def _seen(reply: Reply) -> str:
    if reply.answers:
        return f"answered by {', '.join(sorted({answer.served_by for answer in reply.answers}))}"
    return reply.complaint or f"curl ended with code {reply.code}"


def _answered(probe: Probe, reply: Reply) -> Check:
    wrong = [a for a in reply.answers if a.status != OK or a.served_by not in probe.replicas]
    right = len(reply.answers) - len(wrong)
    observed = f"{right} of {probe.count} requests answered"
    if wrong:
        observed += f"; {_odd(wrong[0])}"
    if reply.code:
        observed += f"; then {reply.complaint or f'curl ended with code {reply.code}'}"
    good = right == probe.count and not wrong and not reply.code
    expected = f"{probe.count} of {probe.count} requests answered by a ready replica"
    reason = probe.why or (SCHEDULED if probe.scheduler else ANSWERED)
    return _check(probe, probe.check, reason, expected, observed, ok=good)


def _odd(answer: Answer) -> str:
    by = f"by {answer.served_by}, which is no ready replica" if answer.served_by else "without X-Served-By"
    return f"HTTP {answer.status}" if answer.status != OK else f"one answered {by}"


def shares(counts: Mapping[str, int]) -> str:
    """`16 + 15 + 13 + 14`: what each replica got, in the order of their names."""
    return " + ".join(str(counts[name]) for name in sorted(counts))


def _spread(probe: Probe, reply: Reply, claims: int) -> Check:
    """How the answers spread; skipped where some requests got no answer."""
    counts = Counter(answer.served_by for answer in reply.answers if answer.served_by in probe.replicas)
    missing = [name for name in probe.replicas if not counts[name]]
    if probe.scheduler:
        expected, reason = promised(probe)
        odd = [] if keeps_promise(probe, counts) else list(probe.replicas)
    else:
        expected = f"{probe.count} requests spread evenly over {len(probe.replicas)} replicas"
        reason = SPREAD
        odd = uneven(counts, probe.replicas, claims)
    every = {name: counts[name] for name in probe.replicas}
    observed = f"{shares(every)} requests"
    if missing:
        observed += f"; never {', '.join(missing)}"
    elif odd:
        observed += f"; too uneven: {', '.join(f'{name} {every[name]}' for name in odd)}"
    good = not missing and not odd
    if len(reply.answers) < probe.count:
        return skipped(probe, "traffic.spread", "not every request was answered")
    return _check(probe, "traffic.spread", reason, expected, observed, ok=good)


def _sticky(probe: Probe, reply: Reply) -> Check:
    seen = sorted({answer.served_by for answer in reply.answers})
    good = len(seen) == 1 and seen[0] in probe.replicas
    observed = "one replica" if good else f"{len(seen)} replicas: {', '.join(seen)}"
    reason = HASHED.format(probe.scheduler) if probe.scheduler else STICKY
    return _check(probe, "traffic.affinity", reason, "one replica", observed, ok=good)


def _sources(probe: Probe, reply: Reply, addresses: Mapping[str, frozenset[str]]) -> Iterator[Check]:
    """The source address that the replicas saw; a pod's requests to itself are a check of their own."""
    own = addresses.get(probe.node, frozenset())
    answers = [answer for answer in reply.answers if answer.status == OK]
    place = probe.vantage.place
    if place == "pod":
        itself = [answer for answer in answers if answer.served_by == probe.vantage.pod]
        answers = [answer for answer in answers if answer.served_by != probe.vantage.pod]
        yield _hairpin(probe, itself, own)
    if probe.source == "any" or not answers:
        return
    check_id, reason = _SOURCES[place, probe.source]
    if probe.source == "client":
        wrong = {answer.origin for answer in answers if answer.origin != answer.client}
    else:
        wrong = {answer.origin for answer in answers if answer.origin not in own}
    expected = "the client's own address" if probe.source == "client" else NODE_ADDRESS
    observed = ", ".join(sorted(wrong)) or expected
    yield _check(probe, check_id, reason, expected, observed, ok=not wrong)


def _hairpin(probe: Probe, itself: list[Answer], own: frozenset[str]) -> Check:
    wrong = {answer.origin for answer in itself if answer.origin not in own}
    observed = ", ".join(sorted(wrong)) or NODE_ADDRESS
    if not itself:
        how = f"scheduler {probe.scheduler}" if probe.scheduler else "ClientIP affinity"
        sticky = f"with {how} this pod stays with another replica"
        why = sticky if probe.sticky else "none of its requests came back to the pod"
        return skipped(probe, "traffic.hairpin", why)
    return _check(probe, "traffic.hairpin", HAIRPIN, NODE_ADDRESS, observed, ok=not wrong)

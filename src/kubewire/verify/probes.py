"""One probe: many requests by one curl process from one place, and what it printed (all pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Literal

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.objects import with_port

REFUSED = 7
TIMED_OUT = 28
CONNECT_SECONDS = 2
REQUEST_SECONDS = 10

Place = Literal["pod", "node", "outside"]
Outcome = Literal["served", "refused", "dropped"]
Source = Literal["client", "node", "any"]


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where requests come from; `node` is where the pod runs, "" outside the cluster."""

    place: Place
    node: str = ""
    namespace: str = ""
    pod: str = ""

    def __str__(self) -> str:
        return {"pod": "a pod", "node": "the node", "outside": "outside"}[self.place]


@dataclass(frozen=True, slots=True)
class Probe:
    """`count` requests to `address`:`port` and their expected result.

    `check` is the registry id of the main statement; `replicas` the names that may answer, all of which must
    if `spread`, exactly one of which if `sticky`; `source` the owner of the address that a replica must
    see; `node` the node on which the check is reported and, for `source` node, the owner; `scheduler`
    that of the virtual server, if its guarantee is checked, "" outside ipvs mode; `why` the reason, where it
    isn't that of every such probe. One of UDP is a single datagram that must be refused.
    """

    check: str
    vantage: Vantage
    node: str
    family: IpFamily
    service: str
    address: str
    port: int
    count: int
    outcome: Outcome = "served"
    replicas: tuple[str, ...] = ()
    spread: bool = False
    sticky: bool = False
    source: Source = "any"
    scheduler: str = ""
    protocol: Literal["TCP", "UDP"] = "TCP"
    why: str = ""

    @property
    def target(self) -> str:
        return with_port(self.address, self.port)

    @property
    def object(self) -> str:
        return f"{self.vantage} → {self.target}{'/udp' if self.protocol == 'UDP' else ''}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered request: the replica's name, the address it saw, and the address the client had."""

    status: int
    served_by: str
    origin: str
    client: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A probe's result: the answers in order, then curl's exit code and error message."""

    answers: tuple[Answer, ...]
    code: int
    complaint: str = ""


_MARK = "@@kubewire@@"
_END = re.compile(rf"\n{_MARK} (\d+) (\S*)\n")
_SERVED_BY = re.compile(r"^x-served-by:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_ORIGIN = re.compile(r'"origin":\s*"([^"\s]+)"')


def curl(probe: Probe) -> list[str]:
    """The argv: a new TCP connection per request, all in one process, ending at the first that fails."""
    return [
        *("curl", "-q", "--silent", "--show-error", "--include", "--noproxy", "*", "--fail-early"),
        *("--connect-timeout", str(CONNECT_SECONDS), "--max-time", str(REQUEST_SECONDS)),
        *("--header", "Connection: close", "--write-out", f"\\n{_MARK} %{{http_code}} %{{local_ip}}\\n"),
        f"http://{probe.target}/ip?request=[1-{probe.count}]",
    ]


_DATAGRAM = """exec 3<>"/dev/udp/$1/$2" && echo >&3 || exit 99
read -r -n 1 -t "$3" -u 3
exit $?"""
_BASH_TIMED_OUT = 128


def argv(probe: Probe) -> list[str]:
    """The command that sends the probe's requests."""
    if probe.protocol == "TCP":
        return curl(probe)
    return ["bash", "-c", _DATAGRAM, "bash", probe.address, str(probe.port), str(CONNECT_SECONDS)]


def parse(probe: Probe, out: str, code: int, err: str) -> Reply:
    """What the command of `argv` printed. A refused datagram is an error of the socket's next read."""
    if probe.protocol == "TCP":
        return parse_reply(out, code, err)
    if code > _BASH_TIMED_OUT:
        return Reply((), TIMED_OUT, "no answer and no refusal")
    if code == 0:
        return Reply((), 0, "answered")
    return Reply((), REFUSED if code == 1 else code, err.strip() or f"bash ended with code {code}")


def parse_reply(out: str, code: int, err: str) -> Reply:
    """Read what curl printed; a request without an HTTP answer is only in `code` and `complaint`."""
    answers = []
    position = 0
    for end in _END.finditer(out):
        text, position = out[position : end.start()], end.end()
        if int(end[1]):
            answers.append(
                Answer(int(end[1]), _first(_SERVED_BY, text), plain(_first(_ORIGIN, text)), plain(end[2]))
            )
    return Reply(tuple(answers), code, err.strip())


def plain(address: str) -> str:
    """The address in its usual form, an IPv4 address seen through an IPv6 socket as IPv4."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""

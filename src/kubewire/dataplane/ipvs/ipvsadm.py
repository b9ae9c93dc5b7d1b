"""The text of `ipvsadm -Sn`: virtual servers and their real servers, both address families."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from msgspec.structs import replace

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Dataplane, Problem, RealServer, VirtualServer
from kubewire.dataplane.core.objects import canonical, with_port

_OPTIONS = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
_PROTOCOLS = {option: protocol for protocol, option in _OPTIONS.items()}
_SERVICE = r"(?P<service>(?:-t|-u|--sctp-service) \S+|-f \d+(?: -6)?)"
_FLAG = r"-M \S+|--pe \S+|-o|-b \S*"
_ADD = re.compile(
    rf"-A {_SERVICE} -s (?P<scheduler>\S+)(?: -p (?P<timeout>\d+))?(?P<flags>(?: (?:{_FLAG}))*)"
)
_REAL = re.compile(
    rf"-a {_SERVICE} -r (?P<address>\S+) (?P<method>-[mgi](?: --tun-\S+(?: \w+)?)*) -w (?P<weight>\d+)"
)


@lru_cache(maxsize=1)
def parse_ipvsadm_save(text: str) -> Dataplane:
    """Read a dump into the Dataplane's servers; what is not understood, and an empty dump, is a Problem."""
    servers: dict[str, VirtualServer] = {}
    reals: dict[str, list[RealServer]] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        why = _take(stripped, servers, reals) if stripped else ""
        if why:
            problems.append(Problem(f"line {number}", line, why))
    if not servers:
        problems.append(Problem("", "", "the dump is empty"))
    whole = (replace(server, servers=tuple(reals[service])) for service, server in servers.items())
    return Dataplane(servers=tuple(whole), problems=tuple(problems))


def service_text(server: VirtualServer) -> str:
    """How ipvsadm names a virtual server: `-t 10.96.0.1:443`."""
    if server.protocol == "fwmark":
        return f"-f {server.port}{' -6' if server.family == 'ipv6' else ''}"
    return f"{_OPTIONS[server.protocol]} {with_port(server.address, server.port)}"


def server_line(server: VirtualServer) -> str:
    """A virtual server as ipvsadm saves it."""
    persistent = [] if server.persistent_seconds is None else [f"-p {server.persistent_seconds}"]
    return " ".join(("-A", service_text(server), "-s", server.scheduler, *persistent, *server.flags))


def real_lines(server: VirtualServer, reals: Iterable[RealServer]) -> list[str]:
    """Real servers behind that virtual server, as ipvsadm saves them."""
    service = service_text(server)
    return [f"-a {service} -r {with_port(r.address, r.port)} {r.method} -w {r.weight}" for r in reals]


def _take(line: str, servers: dict[str, VirtualServer], reals: dict[str, list[RealServer]]) -> str:
    """Use a line; returns why it can't be used, "" if it was."""
    match = (_REAL if line.startswith("-a ") else _ADD).fullmatch(line)
    if match is None:
        return "not a line of ipvsadm -Sn"
    service = match["service"]
    try:
        if line.startswith("-a "):
            if service not in servers:
                return "a real server of a virtual server that is not there"
            real = RealServer(*_address(match["address"]), int(match["weight"]), match["method"])
            reals[service].append(real)
        elif service in servers:
            return "the virtual server is there twice"
        else:
            servers[service], reals[service] = _server(match), []
    except ValueError:
        return "not an address and port"
    return ""


def _server(match: re.Match[str]) -> VirtualServer:
    option, where, *six = match["service"].split()
    flags = tuple(re.findall(_FLAG, match["flags"]))
    persistent = int(match["timeout"]) if match["timeout"] else None
    if option == "-f":
        protocol, address, port = "fwmark", "", int(where)
    else:
        protocol, (address, port) = _PROTOCOLS[option], _address(where)
    family: IpFamily = "ipv6" if six or ":" in address else "ipv4"
    return VirtualServer(family, protocol, address, port, match["scheduler"], persistent, flags)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    number = int(port)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return canonical(host.removeprefix("[").removesuffix("]")), number

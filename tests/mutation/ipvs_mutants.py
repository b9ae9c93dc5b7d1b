"""Every single-object change to what ipvs mode keeps beside its rules: ipsets, virtual servers, addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from mutants import Duty, Mutant

ADDRESS = r"(?:\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]+)"
SETS = (
    ("type", r"^(create \S+) \S+", r"\1 hash:mac"),
    ("family", r"family inet6?$|family inet6? ", "family inet9 "),
    ("size", r"maxelem (\d+)", r"maxelem 9\1"),
    ("range", r"range (\d+)-", r"range 9-"),
)
MEMBERS = (
    ("address", rf"^(add \S+ )({ADDRESS})", r"\g<1>192.0.2.251"),
    ("protocol", r",tcp:", ",udp:"),
    ("protocol", r",udp:", ",sctp:"),
    ("port", r"(?:(,(?:tcp|udp|sctp):)|(?<= ))(\d+)(?=,|$)", r"\g<1>9"),
    ("source", rf",({ADDRESS}(?:/\d+)?)$", ",192.0.2.252"),
    ("condition", r"$", " nomatch"),
)
SERVERS = (
    ("scheduler", r"-s (\S+)", "-s wlc"),
    ("affinity dropped", r" -p \d+", ""),
    ("affinity seconds", r" -p (\d+)", r" -p 9\1"),
    ("affinity added", r"^(-A .* -s \S+)$", r"\1 -p 77"),
    ("flag added", r"$", " -o"),
    ("protocol", r" -t ", " -u "),
    ("protocol", r" -u ", " -t "),
)
REALS = (
    ("target address", rf"-r (\[?){ADDRESS}", r"-r \g<1>192.0.2.253"),
    ("target port", r"(-r \S+):\d+ ", r"\1:9 "),
    ("weight", r"-w 1$", "-w 2"),
    ("weight", r"-w 1$", "-w 0"),
    ("method", r" -m ", " -g "),
)


def _made(kind: str, target: str, duty: Duty, lines: Sequence[str], why: str = "") -> Mutant:
    return Mutant(kind, target, duty, partial("\n".join, [*lines, ""]), why)


def _each(
    lines: list[str], at: int, what: str, changes: Sequence[tuple[str, str, str]], gone: Sequence[str]
) -> Iterator[Mutant]:
    """One line left out (with all that hangs on it), doubled, and changed in every way."""
    line = lines[at]
    yield _made(f"{what} deleted", line, Duty.FOUND, gone)
    yield _made(f"{what} doubled", line, Duty.FOUND, [*lines[: at + 1], line, *lines[at + 1 :]])
    for kind, pattern, becomes in changes:
        altered = re.sub(pattern, becomes, line, count=1)
        if altered not in (line, *lines):
            yield _made(f"{what}'s {kind}", altered, Duty.FOUND, [*lines[:at], altered, *lines[at + 1 :]])


def ipset_mutants(dump: str) -> Iterator[Mutant]:
    """Of `ipset save`."""
    lines = dump.splitlines()
    adds, creates = ([line for line in lines if line.startswith(word)] for word in ("add", "create"))
    turned = [*creates, *adds[::-1]]
    yield _made("members in another order", "all", Duty.QUIET, turned, "element order")
    grown = re.sub(r"hashsize \d+", "hashsize 8192", dump)
    yield _made("set grown", "all", Duty.QUIET, grown.splitlines(), "set growth")
    foreign = ["create cali40all hash:net family inet", "add cali40all 10.0.0.0/8"]
    yield _made("foreign set", "cali40all", Duty.QUIET, [*lines, *foreign], "foreign set")
    for at, line in enumerate(lines):
        verb, name, *_ = line.split()
        if verb == "create":
            gone = [text for text in lines if text.split()[1] != name]
            yield from _each(lines, at, "set", SETS, gone)
            yield _made("stray member", name, Duty.FOUND, [*lines, f"add {name} {_stray(line)}"])
        else:
            yield from _each(lines, at, "member", MEMBERS, [*lines[:at], *lines[at + 1 :]])


def _stray(create: str) -> str:
    address = "2001:db8::250" if "inet6" in create else "192.0.2.250"
    return {
        "bitmap:port": "9",
        "hash:ip": address,
        "hash:ip,port": f"{address},tcp:9",
        "hash:ip,port,ip": f"{address},tcp:9,{address}",
        "hash:ip,port,net": f"{address},tcp:9,{address}",
    }[create.split()[2]]


def ipvsadm_mutants(dump: str) -> Iterator[Mutant]:
    """Of `ipvsadm -Sn`."""
    lines = dump.splitlines()
    blocks = re.findall(r"^-A.*\n(?:-a.*\n)*", dump, re.MULTILINE)
    turned = "".join(reversed(blocks)).splitlines()
    yield _made("virtual servers in another order", "all", Duty.QUIET, turned, "server order")
    six = any(line.startswith("-A") and "[" in line for line in lines)
    for server in ("-A -t 192.0.2.250:9 -s rr", *(["-A -u [2001:db8::250]:9 -s rr"] if six else [])):
        yield _made("stray virtual server", server, Duty.FOUND, [*lines, server])
    for at, line in enumerate(lines):
        service = " ".join(line.split()[1:3])
        if line.startswith("-A"):
            gone = [text for text in lines if service not in text]
            moved = [text.replace(f"{service} ", f"{_elsewhere(service)} ") for text in lines]
            yield from _each(lines, at, "virtual server", SERVERS, gone)
            yield _made("virtual server's port", line, Duty.FOUND, moved)
            address = "[2001:db8::253]" if "[" in service else "192.0.2.253"
            yield from _servers(lines, at, f"-a {service} -r {address}:9 -m", tcp=" -t " in line)
        else:
            yield from _each(lines, at, "real server", REALS, [*lines[:at], *lines[at + 1 :]])
            if lines[at - 1].startswith("-a"):
                swapped = [*lines[: at - 1], line, lines[at - 1], *lines[at + 1 :]]
                yield _made("real servers swapped", line, Duty.QUIET, swapped, "server order")


def _elsewhere(service: str) -> str:
    return re.sub(r":\d+$", ":9", service)


def _servers(lines: list[str], at: int, real: str, *, tcp: bool) -> Iterator[Mutant]:
    """Real servers that no endpoint asks for."""
    for weight in (1, 0):
        quiet = tcp and not weight
        duty, why = (Duty.QUIET, "leaving") if quiet else (Duty.FOUND, "")
        text = f"{real} -w {weight}"
        kind = "real server on its way out" if quiet else "stray real server"
        yield _made(kind, text, duty, [*lines[: at + 1], text, *lines[at + 1 :]], why)


def address_mutants(dump: str) -> Iterator[Mutant]:
    """Of kube-ipvs0 in `ip -j addr`."""
    links = json.loads(dump)
    at = next(number for number, link in enumerate(links) if link.get("ifname") == "kube-ipvs0")
    infos = links[at]["addr_info"]

    def made(kind: str, target: str, duty: Duty, changed: list[Any], why: str = "") -> Mutant:
        text = partial(json.dumps, [*links[:at], {**links[at], "addr_info": changed}, *links[at + 1 :]])
        return Mutant(kind, target, duty, text, why)

    yield Mutant(
        "interface deleted", "kube-ipvs0", Duty.FOUND, partial(json.dumps, links[:at] + links[at + 1 :])
    )
    yield made("addresses in another order", "all", Duty.QUIET, infos[::-1], "address order")
    for family, local, length in (("inet", "192.0.2.250", 32), ("inet6", "2001:db8::250", 128)):
        stray = {"family": family, "local": local, "prefixlen": length}
        yield made("stray address", local, Duty.FOUND, [*infos, stray])
    for number, info in enumerate(infos):
        if info["local"].startswith("fe80"):
            continue
        before, after = infos[:number], infos[number + 1 :]
        other = "2001:db8::251" if info["family"] == "inet6" else "192.0.2.251"
        yield made("address deleted", info["local"], Duty.FOUND, [*before, *after])
        yield made("address altered", other, Duty.FOUND, [*before, {**info, "local": other}, *after])
        wide = {**info, "prefixlen": info["prefixlen"] - 8}
        yield made("address's prefix", info["local"], Duty.FOUND, [*before, wide, *after])


SYSCTLS = (
    "net.ipv4.ip_forward",
    *(f"net.ipv4.vs.{name}" for name in ("conntrack", "expire_nodest_conn", "expire_quiescent_template")),
)
STRICT_ARP = ("net.ipv4.conf.all.arp_ignore", "net.ipv4.conf.all.arp_announce")


def sysctl_mutants(dump: str, *, strict_arp: bool = False) -> Iterator[Mutant]:
    """Of the kernel settings in facts.json that ipvs mode sets: those of ARP only with strictARP,
    conn_reuse_mode not since Linux 5.9.
    """
    set_by_it = (*SYSCTLS, *(STRICT_ARP if strict_arp else ()))
    facts = json.loads(dump)
    for name, value in facts.get("sysctls", {}).items():
        if name not in set_by_it:
            continue
        other = "0" if str(value) != "0" else "1"
        changed = {**facts, "sysctls": {**facts["sysctls"], name: other}}
        yield Mutant("sysctl altered", name, Duty.FOUND, partial(json.dumps, changed))


def meets(healthy: str) -> Callable[[str], bool]:
    """Whether ipvs would treat some packet otherwise: the same lines, but for what decides nothing."""
    return lambda dump: _deciding(dump) != _deciding(healthy)


def _deciding(dump: str) -> list[str]:
    if dump.startswith(("[", "{")):
        written = json.dumps(json.loads(dump))
        return sorted(re.findall(r'"local": "[^"]+", "prefixlen": \d+|"[\w.]+": "?\d+"?', written))
    lines = re.sub(r" (?:hashsize|bucketsize|initval) \S+", "", dump).splitlines()
    return sorted(line for line in lines if "cali40all" not in line and not re.match(r"-a -t .*-w 0$", line))

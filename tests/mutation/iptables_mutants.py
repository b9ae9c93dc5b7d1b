"""Every single-object change to an iptables-save dump, with what verify owes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from mutants import Duty, Mutant

COUNTERS = re.compile(r"^\[\d+:\d+\] ")
CHAIN = re.compile(r"-A (\S+) ?(.*)")
BUILT_IN = ("INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING")
# Filled from a Go map: the order of what different Services put here changes from sync to sync.
UNORDERED = (
    *("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"),
    *BUILT_IN,
)
NEVER_MET = ("KUBE-PROXY-CANARY",)
ALTERATIONS = (
    ("target", r"-j (KUBE-\S+)$", r"-j KUBE-SVC-AAAAAAAAAAAAAAAA"),
    ("verdict", r"-j (DROP|RETURN|REJECT .*|MASQUERADE.*)$", r"-j ACCEPT"),
    ("verdict", r"-j ACCEPT$", r"-j DROP"),
    ("jump to goto", r"-j (KUBE-\S+)$", r"-g \1"),
    ("destination", r"-d (\d+)\.(\d+)", r"-d 9.\2"),
    ("destination", r"-d ([0-9a-f]+):", r"-d fc99:"),
    ("destination dropped", r"-d \S+ ", ""),
    ("source", r"-s (\d+)\.(\d+)", r"-s 9.\2"),
    ("source", r"-s ([0-9a-f]+):", r"-s fc99:"),
    ("source negated", r"(?<!! )-s (\S+)", r"! -s \1"),
    ("negation dropped", r"! (-[si]) ", r"\1 "),
    ("interface", r"-i (\S+)", r"-i x\1"),
    ("mask", r"/(32|128) ", "/24 "),
    ("port", r"--dport (\d+)", r"--dport 9\1"),
    ("protocol", r"-p (tcp|udp|sctp) (.*)-m \1", r"-p dccp \2-m dccp"),
    ("target address", r"--to-destination (\[?)[0-9a-f]+([.:])", r"--to-destination \g<1>99\2"),
    ("target port", r"--to-destination (\S+):\d+$", r"--to-destination \1:9"),
    ("target port dropped", r"--to-destination (\d\S+):\d+$", r"--to-destination \1"),
    ("probability", r"--probability 0\.(\d)", r"--probability 0.9"),
    ("probability by a hair", r"--probability (\S+)\d ", r"--probability \g<1>5 "),
    ("probability dropped", r"-m statistic .* (?=-j)", ""),
    ("mark", r"0x[0-9a-f]+", "0x20000"),
    ("affinity seconds", r"--seconds (\d+)", r"--seconds 9\1"),
    ("affinity list", r"--name (KUBE-SEP-\S+)", r"--name \1X"),
    ("affinity mask", r"--mask \S+", "--mask 255.0.0.0"),
    ("address type", r"-type LOCAL", "-type UNICAST"),
    ("state", r"--ctstate NEW", "--ctstate INVALID"),
    ("states", r"RELATED,ESTABLISHED", "RELATED"),
    ("random", r" --random-fully", ""),
    ("further match", r" -j ", " -m limit --limit 1/sec -j "),
)


def mutants(dump: str) -> Iterator[Mutant]:
    """All of them, in the dump's order."""
    lines = dump.splitlines()
    yield from _counters(dump)
    table = ""
    for at, line in enumerate(lines):
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            yield from _of_chain(lines, at, table)
        elif found := CHAIN.search(line):
            yield from _of_rule(lines, at, found[1], found[2])


def _made(kind: str, target: str, duty: Duty, lines: Sequence[str]) -> Mutant:
    return Mutant(kind, target, duty, partial("\n".join, [*lines, ""]))


def _counters(dump: str) -> Iterator[Mutant]:
    """Packet counters, and chains that no packet reaches, are no difference."""
    moved = re.sub(r"\[\d+:\d+\]", "[7:420]", dump)
    yield _made("counters moved", "all chains", Duty.QUIET, moved.splitlines())
    for chain in ("KUBE-SVC-STALESTALESTALE", "OTHER"):
        text = dump.replace("*nat\n", f"*nat\n:{chain} - [0:0]\n", 1)
        yield _made("stray chain, unreachable", chain, Duty.QUIET, text.splitlines())
        rule = f"-A {chain} -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.1:1\n"
        head, nat, tail = text.partition("*nat\n")
        body, commit, rest = tail.partition("COMMIT\n")
        text = head + nat + body + rule + commit + rest
        yield _made("stray chain, unreachable", chain, Duty.QUIET, text.splitlines())


def _of_chain(lines: list[str], at: int, table: str) -> Iterator[Mutant]:
    name = lines[at][1:].split()[0]
    if name in BUILT_IN:
        yield _made("stray rule", f"{table} {name}", Duty.FOUND, _with_stray(lines, at, name, table))
        return
    end = lines.index("COMMIT", at)
    gone = [
        line
        for number, line in enumerate(lines)
        if number != at
        and not (at < number < end and (found := CHAIN.search(line)) is not None and found[1] == name)
    ]
    owned = name.startswith("KUBE-")
    if owned:
        duty = Duty.EITHER if name in NEVER_MET or _empty(lines, at, end, name) else Duty.FOUND
        yield _made("chain deleted", f"{table} {name}", duty, gone)
        duty = Duty.EITHER if name in NEVER_MET else Duty.FOUND
        yield _made("stray rule", f"{table} {name}", duty, _with_stray(lines, at, name, table))


def _empty(lines: list[str], at: int, end: int, name: str) -> bool:
    return not any((found := CHAIN.search(line)) and found[1] == name for line in lines[at:end])


def _with_stray(lines: list[str], at: int, chain: str, table: str) -> list[str]:
    """The table with one more rule at the end of that chain, for a service address."""
    end = lines.index("COMMIT", at)
    last = max(
        (n for n in range(at, end) if (found := CHAIN.search(lines[n])) and found[1] == chain),
        default=end - 1,
    )
    ipv4 = any("10.96.0.1/32" in line for line in lines)
    address, port = ("10.96.0.1/32", 443) if ipv4 else ("fd00:10:96::92/128", 53)
    jump = "DNAT --to-destination 10.9.9.9:9" if table == "nat" and ipv4 else "DROP"
    stray = f"-A {chain} -d {address} -p tcp -m tcp --dport {port} -j {jump}"
    return [*lines[: last + 1], stray, *lines[last + 1 :]]


def _of_rule(lines: list[str], at: int, chain: str, text: str) -> Iterator[Mutant]:
    if chain in BUILT_IN and "-j KUBE-" not in text:
        return
    line = lines[at]
    yield _made("rule deleted", line, Duty.FOUND, [*lines[:at], *lines[at + 1 :]])
    yield _made("rule doubled", line, Duty.FOUND, [*lines[:at], line, *lines[at:]])
    for kind, pattern, becomes in ALTERATIONS:
        altered = re.sub(pattern, becomes, line, count=1)
        if altered != line and altered not in lines:
            yield _made(f"rule's {kind}", altered, Duty.FOUND, [*lines[:at], altered, *lines[at + 1 :]])
    altered = re.sub(r'--comment "[^"]*"', '--comment "other"', line, count=1)
    if altered != line:
        yield _made("rule's comment", line, Duty.EITHER, [*lines[:at], altered, *lines[at + 1 :]])
    following = lines[at + 1] if at + 1 < len(lines) else ""
    found = CHAIN.search(following)
    if found and found[1] == chain and following != line:
        swapped = [*lines[:at], following, line, *lines[at + 2 :]]
        yield _made("rules swapped", f"{line} / {following}", _of_swap(chain, text, found[2]), swapped)


def _of_swap(chain: str, first: str, second: str) -> Duty:
    """Order counts unless different Services, or jumps of a built-in chain, change places."""
    if chain in BUILT_IN:
        return Duty.QUIET if "KUBE-" in first and "KUBE-" in second else Duty.EITHER
    if chain not in UNORDERED:
        return Duty.EITHER if chain.startswith("KUBE-FW-") else Duty.FOUND
    if "this must be the last rule" in second:
        return Duty.QUIET if "this must be the last rule" in first else Duty.FOUND
    if "nfacct" in first and first.split("--dport ")[1].split(maxsplit=1)[0] in second.split():
        return Duty.FOUND  # the counting rule of a node port stands before its twin
    return Duty.QUIET

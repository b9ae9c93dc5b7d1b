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
KUBELETS = ("KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT", "KUBE-MARK-DROP")
MARKING = ("KUBE-MARK-MASQ", "KUBE-LOAD-BALANCER")
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


def mutants(dump: str, vip: str, *, ipvs: bool = False) -> Iterator[Mutant]:
    """All of them, in the dump's order; `vip` is how a rule names a service port. In ipvs mode no chain's
    order is left to chance.
    """
    unordered = BUILT_IN if ipvs else UNORDERED
    lines = dump.splitlines()
    yield from _counters(dump)
    table = ""
    for at, line in enumerate(lines):
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            yield from _of_chain(lines, at, table, vip)
        elif found := CHAIN.search(line):
            yield from _of_rule(lines, at, found[1], found[2], unordered)


def _made(kind: str, target: str, duty: Duty, lines: Sequence[str], why: str = "") -> Mutant:
    return Mutant(kind, target, duty, partial("\n".join, [*lines, ""]), why)


def _counters(dump: str) -> Iterator[Mutant]:
    """Packet counters, and chains that no packet reaches, are no difference."""
    moved = re.sub(r"\[\d+:\d+\]", "[7:420]", dump)
    yield _made("counters moved", "all chains", Duty.QUIET, moved.splitlines(), "counters")
    counted = re.sub("^-A", "[7:420] -A", dump, flags=re.MULTILINE)
    yield _made("counters shown", "all rules", Duty.QUIET, counted.splitlines(), "counters")
    for chain in ("KUBE-SVC-STALESTALESTALE", "OTHER"):
        rule = f"-A {chain} -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.1:1\n"
        head, nat, tail = dump.partition("*nat\n")
        body, commit, rest = tail.partition("COMMIT\n")
        for text in ("", rule):
            whole = f"{head}{nat}:{chain} - [0:0]\n{body}{text}{commit}{rest}"
            yield _made("stray chain, unreachable", chain, Duty.QUIET, whole.splitlines(), "unreachable")
    for table in re.findall(r"^\*(\S+)", dump, re.MULTILINE):
        gone = re.sub(rf"\*{table}\n.*?COMMIT\n", "", dump, count=1, flags=re.DOTALL)
        ours = "KUBE-SERVICES" in dump.partition(f"*{table}\n")[2].partition("COMMIT")[0]
        duty, why = (Duty.FOUND, "") if ours else (Duty.EITHER, "canary")
        yield _made("table deleted", table, duty, gone.splitlines(), why)


def _of_chain(lines: list[str], at: int, table: str, vip: str) -> Iterator[Mutant]:
    name = lines[at][1:].split()[0]
    target = f"{table} {name}"
    if name in BUILT_IN:
        for place, text in _with_strays(lines, at, name, table, vip):
            yield _made(f"foreign rule {place}", target, Duty.FATE, text, "no packet")
        dropping = [*lines[:at], lines[at].replace(" ACCEPT ", " DROP "), *lines[at + 1 :]]
        duty, why = (Duty.EITHER, "to the node") if target == "nat INPUT" else (Duty.FOUND, "")
        yield _made("policy of a built-in chain", target, duty, dropping, why)
        return
    if not name.startswith("KUBE-") or name in KUBELETS:
        return
    end = lines.index("COMMIT", at)
    gone = [
        line
        for number, line in enumerate(lines)
        if number != at
        and not (at < number < end and (found := CHAIN.search(line)) is not None and found[1] == name)
    ]
    never, empty = name in NEVER_MET, _empty(lines, at, end, name)
    duty, why = (Duty.EITHER, "canary" if never else "declared empty") if never or empty else (Duty.FOUND, "")
    yield _made("chain deleted", target, duty, gone, why)
    duty, why = (Duty.EITHER, "canary") if never else (Duty.FOUND, "")
    for place, text in _with_strays(lines, at, name, table, vip):
        yield _made(f"stray rule {place}", target, duty, text, why)


def _empty(lines: list[str], at: int, end: int, name: str) -> bool:
    return not any((found := CHAIN.search(line)) and found[1] == name for line in lines[at:end])


def _with_strays(
    lines: list[str], at: int, chain: str, table: str, vip: str
) -> Iterator[tuple[str, list[str]]]:
    """The table with one more rule for a service address, at either end of that chain."""
    end = lines.index("COMMIT", at)
    own = [n for n in range(at, end) if (found := CHAIN.search(lines[n])) and found[1] == chain]
    dnat = "DNAT --to-destination " + ("[2001:db8::9]:9" if ":" in vip else "10.9.9.9:9")
    stray = f"-A {chain} {vip} -j {dnat if table == 'nat' else 'DROP'}"
    last = own[-1] if own else end - 1
    yield "at the end", [*lines[: last + 1], stray, *lines[last + 1 :]]
    if own:
        yield "at the head", [*lines[: own[0]], stray, *lines[own[0] :]]


def _of_rule(lines: list[str], at: int, chain: str, text: str, unordered: Sequence[str]) -> Iterator[Mutant]:
    foreign = "-j KUBE-" not in text if chain in BUILT_IN else not chain.startswith("KUBE-")
    if foreign or chain in KUBELETS:
        return  # another owner's
    line = lines[at]
    yield _made("rule deleted", line, Duty.FOUND, [*lines[:at], *lines[at + 1 :]])
    yield _made("rule doubled", line, Duty.FOUND, [*lines[:at], line, *lines[at:]])
    for kind, pattern, becomes in ALTERATIONS:
        altered = re.sub(pattern, becomes, line, count=1)
        if altered != line and altered not in lines:
            yield _made(f"rule's {kind}", altered, Duty.FOUND, [*lines[:at], altered, *lines[at + 1 :]])
    altered = re.sub(r'--comment "[^"]*"', '--comment "other"', line, count=1)
    if altered != line:
        yield _made("rule's comment", line, Duty.EITHER, [*lines[:at], altered, *lines[at + 1 :]], "comment")
    following = lines[at + 1] if at + 1 < len(lines) else ""
    found = CHAIN.search(following)
    if found and found[1] == chain and following != line:
        swapped = [*lines[:at], following, line, *lines[at + 2 :]]
        duty, why = _of_swap(chain, text, found[2], unordered)
        yield _made("rules swapped", f"{line} / {following}", duty, swapped, why)


def _of_swap(chain: str, first: str, second: str, unordered: Sequence[str]) -> tuple[Duty, str]:
    """Order counts unless different Services, or jumps of a built-in chain, change places."""
    if chain in BUILT_IN:
        ours = "KUBE-" in first and "KUBE-" in second
        return (Duty.QUIET, "jump order") if ours else (Duty.EITHER, "foreign order")
    targets = {text.rpartition("-j ")[2] for text in (first, second)}
    protocols = {text.partition("-p ")[2].partition(" ")[0] for text in (first, second)}
    if chain not in unordered and (len(targets) == 1 or targets <= set(MARKING)):
        return Duty.EITHER, "same verdict"
    if chain not in unordered and len(protocols - {""}) == 2:
        return Duty.EITHER, "different protocols"
    if chain not in unordered:
        return (Duty.EITHER, "source ranges") if chain.startswith("KUBE-FW-") else (Duty.FOUND, "")
    if "this must be the last rule" in second:
        last = "this must be the last rule" in first
        return (Duty.QUIET, "twin rule") if last else (Duty.FOUND, "")
    if "nfacct" in first and first.split("--dport ")[1].split(maxsplit=1)[0] in second.split():
        return Duty.FOUND, ""  # the counting rule of a node port stands before its twin
    return Duty.QUIET, "service order"

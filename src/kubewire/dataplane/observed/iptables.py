"""The text of iptables-save and ip6tables-save, nft and legacy variant, with or without counters."""

from __future__ import annotations

import re

from msgspec import Struct, field

from kubewire.dataplane.findings import IpFamily
from kubewire.dataplane.model import Chain, Dataplane, Hook, Problem, Rule, RuleGroup, Table

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORDS = re.compile(r'(?:[^\s"]+|"(?:[^"\\]|\\.)*")(?: +(?:[^\s"]+|"(?:[^"\\]|\\.)*"))* *')
_TARGET = re.compile(r"(?:^| )-[jg] (\S+)")
_CHAIN = re.compile(r":(\S+) (ACCEPT|DROP|QUEUE|RETURN|-) \[\d+:\d+\]")
_APPEND = re.compile(r"(?:\[\d+:\d+\] )?-A (\S+)(?: (.*))?")


def parse_iptables_save(text: str, family: IpFamily) -> Dataplane:
    """Read a dump; every line that is not understood, and a dump that is cut or empty, becomes a Problem."""
    reader = _Reader()
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        why = reader.take(line)
        if why:
            problems.append(Problem(f"line {number}", line, why))
    if reader.current is not None:
        problems.append(Problem("end", f"*{reader.current.name}", "the dump is cut: no COMMIT"))
    if not reader.tables:
        problems.append(Problem("", "", "the dump is empty"))
    return Dataplane(
        tables=tuple(Table(family, name) for name in reader.tables),
        chains=tuple(
            Chain(family, table.name, name, Hook(name, policy=policy) if policy else None, _group(rules))
            for table in reader.tables.values()
            for name, (policy, rules) in table.chains.items()
        ),
        problems=tuple(problems),
        remarks=tuple(reader.remarks),
    )


def print_iptables_save(dataplane: Dataplane) -> str:
    """The dump's text again, without counters and comments: parsing it gives the same Dataplane."""
    lines: list[str] = []
    for table in dataplane.tables:
        chains = [chain for chain in dataplane.chains if chain.table == table.name]
        lines.append(f"*{table.name}")
        lines += [f":{chain.name} {chain.hook.policy if chain.hook else '-'} [0:0]" for chain in chains]
        lines += [rule_line(chain, rule) for chain in chains for rule in chain.rules()]
        lines.append("COMMIT")
    return "".join(f"{line}\n" for line in lines)


def rule_line(chain: Chain, rule: Rule) -> str:
    """A rule as iptables-save prints it."""
    return f"-A {chain.name} {rule.text}" if rule.text else f"-A {chain.name}"


def _group(rules: list[Rule]) -> tuple[RuleGroup, ...]:
    return (RuleGroup(tuple(rules)),) if rules else ()


class _Table(Struct):
    name: str
    chains: dict[str, tuple[str, list[Rule]]] = field(default_factory=dict)


class _Reader:
    """Takes line after line; `take` answers why a line can't be used, "" if it was."""

    def __init__(self) -> None:
        self.tables: dict[str, _Table] = {}
        self.remarks: list[str] = []
        self.current: _Table | None = None

    def take(self, line: str) -> str:
        if line.startswith(("-A ", "[")):
            return self._append(line)
        if line.startswith(":"):
            return self._declare(line)
        if line.startswith("*"):
            return self._begin(line[1:].strip())
        if line.strip() == "COMMIT":
            open_table, self.current = self.current, None
            return "" if open_table else "COMMIT outside a table"
        if line.startswith("#"):
            if "Warning" in line:
                self.remarks.append(line.lstrip("# "))
            return "iptables can't read this table" if "incompatible" in line else ""
        return "not a line of iptables-save" if line.strip() else ""

    def _begin(self, name: str) -> str:
        unfinished, twice = self.current is not None, name in self.tables
        self.current = self.tables.setdefault(name, _Table(name))
        if unfinished:
            return "the table before this one ends without COMMIT"
        return "the table is there twice" if twice else ""

    def _declare(self, line: str) -> str:
        match = _CHAIN.fullmatch(line.rstrip())
        if self.current is None:
            return "a chain outside a table"
        if match is None:
            return "not a chain as iptables-save declares it"
        name, policy = match.groups()
        if name in self.current.chains:
            return "the chain is declared twice"
        self.current.chains[name] = ("" if policy == "-" else policy, [])
        return ""

    def _append(self, line: str) -> str:
        match = _APPEND.fullmatch(line)
        if self.current is None:
            return "a rule outside a table"
        if match is None:
            return "not a rule as iptables-save prints it"
        name, text = match[1], match[2] or ""
        if name not in self.current.chains:
            return "a rule of a chain that was not declared"
        bare = _QUOTED.sub('""', text) if '"' in text else text
        understood = "[unsupported" not in text and (not text or _WORDS.fullmatch(text) is not None)
        target = _TARGET.search(bare)
        rule = Rule(text, targets=(target[1],) if target else (), understood=understood)
        self.current.chains[name][1].append(rule)
        return "" if understood else "iptables could not print this rule whole"

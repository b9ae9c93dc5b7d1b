"""The text of iptables-save and ip6tables-save, nft and legacy variant, with or without counters."""

from __future__ import annotations

import re
from collections.abc import Collection

from msgspec import Struct, field

from kubewire.dataplane.core.compare import UNPRINTABLE
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Chain, Dataplane, Hook, Problem, Rule, RuleGroup, Table
from kubewire.dataplane.iptables.spec import is_whole

_CHAIN = re.compile(r":(\S+) (ACCEPT|DROP|QUEUE|RETURN|-) \[\d+:\d+\]")
_UNREAD = re.compile(r"# Table [`']([a-z]+)' is incompatible")
_COUNTERS = re.compile(r"^\[\d+:\d+\] ")


def parse_iptables_save(text: str, family: IpFamily, known: Collection[str] = ()) -> Dataplane:
    """Read a dump; every line that is not understood, and a dump that is cut or empty, becomes a Problem.

    `known` has texts of rules that are printed whole, so that they need no look at their words.
    """
    reader = _Reader(known)
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        why = reader.take(line)
        if why:
            problems.append(Problem(f"line {number}", line, why))
    if reader.current is not None:
        problems.append(Problem("end", f"*{reader.current.name}", "the dump is cut: no COMMIT"))
    if not (reader.tables or reader.unread):
        problems.append(Problem("", "", "the dump is empty"))
    return Dataplane(
        tables=tuple(Table(family, name) for name in reader.tables),
        chains=tuple(
            Chain(family, table.name, name, table.hook(name), _group(rules))
            for table in reader.tables.values()
            for name, rules in table.rules.items()
        ),
        problems=tuple(problems),
        remarks=tuple(reader.remarks),
        unread=tuple(reader.unread),
    )


def rule_line(chain: Chain, rule: Rule) -> str:
    """A rule as iptables-save prints it."""
    return f"-A {chain.name} {rule.text}" if rule.text else f"-A {chain.name}"


def _group(rules: list[Rule]) -> tuple[RuleGroup, ...]:
    return (RuleGroup(tuple(rules)),) if rules else ()


class _Table(Struct):
    """The table that is being read: its chains' rules, and the policies of the built-in ones."""

    name: str
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)

    def hook(self, chain: str) -> Hook | None:
        return Hook(chain, policy=self.policies[chain]) if chain in self.policies else None


class _Reader:
    """Reads line by line; `take` returns why a line can't be used, "" if it was."""

    def __init__(self, known: Collection[str]) -> None:
        self.tables: dict[str, _Table] = {}
        self.remarks: list[str] = []
        self.unread: list[str] = []
        self.current: _Table | None = None
        self._known = known

    def take(self, line: str) -> str:
        if line.startswith(("-A ", "[")):
            return self._append(line if line[0] == "-" else _COUNTERS.sub("", line))
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
            if table := _UNREAD.match(line):
                self.unread.append(table[1])
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
        if name in self.current.rules:
            return "the chain is declared twice"
        self.current.rules[name] = []
        if policy != "-":
            self.current.policies[name] = policy
        return ""

    def _append(self, line: str) -> str:
        option, name, text = (*line.split(" ", 2), "", "")[:3]
        if self.current is None:
            return "a rule outside a table"
        if option != "-A" or not name:
            return "not a rule as iptables-save prints it"
        rules = self.current.rules.get(name)
        if rules is None:
            return "a rule of a chain that was not declared"
        understood = text in self._known or (UNPRINTABLE not in text and is_whole(text))
        rules.append(Rule(text, None, False, (), understood))
        return "" if understood else "iptables could not print this rule whole"

"""The text of iptables-save and ip6tables-save, nft and legacy variant, with or without counters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kubewire.dataplane.findings import IpFamily
from kubewire.dataplane.model import Chain, Dataplane, Hook, Problem, Rule, RuleGroup, Table

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORDS = re.compile(r'(?:[^\s"]+|"(?:[^"\\]|\\.)*")(?: +(?:[^\s"]+|"(?:[^"\\]|\\.)*"))* *')
_TARGET = re.compile(r"(?:^| )-[jg] (\S+)")
_CHAIN = re.compile(r":(\S+) (ACCEPT|DROP|QUEUE|RETURN|-) \[\d+:\d+\]")
_APPEND = re.compile(r"(?:\[\d+:\d+\] )?-A (\S+)(?: (.*))?")


@dataclass
class _Section:
    name: str
    chains: dict[str, tuple[str, list[Rule]]] = field(default_factory=dict)


def parse_iptables_save(text: str, family: IpFamily) -> Dataplane:
    """Read a dump; every line that is not understood, and a dump that is cut or empty, becomes a Problem."""
    tables: dict[str, _Section] = {}
    problems: list[Problem] = []
    remarks: list[str] = []
    section: _Section | None = None
    for number, line in enumerate(text.splitlines(), 1):
        why = ""
        if line.startswith(("-A ", "[")):
            why = _append(section, line)
        elif line.startswith(":"):
            why = _declare(section, line)
        elif line.startswith("*"):
            if section is not None:
                problems.append(
                    Problem(f"line {number}", f"*{section.name}", "the table ends without COMMIT")
                )
            section = _Section(line[1:].strip())
            if section.name in tables:
                why = "the table is there twice"
            tables[section.name] = section
        elif line.strip() == "COMMIT":
            why = "" if section else "COMMIT outside a table"
            section = None
        elif line.startswith("#"):
            if "incompatible" in line:
                why = "iptables can't read this table"
            elif "Warning" in line:
                remarks.append(line.lstrip("# "))
        elif line.strip():
            why = "not a line of iptables-save"
        if why:
            problems.append(Problem(f"line {number}", line, why))
    if section is not None:
        problems.append(Problem("end", f"*{section.name}", "the dump is cut: no COMMIT"))
    if not tables:
        problems.append(Problem("", "", "the dump is empty"))
    return Dataplane(
        tables=tuple(Table(family, name) for name in tables),
        chains=tuple(
            Chain(family, table.name, name, Hook(name, policy=policy) if policy else None, _group(rules))
            for table in tables.values()
            for name, (policy, rules) in table.chains.items()
        ),
        problems=tuple(problems),
        remarks=tuple(remarks),
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


def _declare(section: _Section | None, line: str) -> str:
    match = _CHAIN.fullmatch(line.rstrip())
    if section is None:
        return "a chain outside a table"
    if match is None:
        return "not a chain as iptables-save declares it"
    name, policy = match.groups()
    if name in section.chains:
        return "the chain is declared twice"
    section.chains[name] = ("" if policy == "-" else policy, [])
    return ""


def _append(section: _Section | None, line: str) -> str:
    match = _APPEND.fullmatch(line)
    if section is None:
        return "a rule outside a table"
    if match is None:
        return "not a rule as iptables-save prints it"
    name, text = match[1], match[2] or ""
    if name not in section.chains:
        return "a rule of a chain that was not declared"
    bare = _QUOTED.sub('""', text) if '"' in text else text
    understood = "[unsupported" not in text and (not text or _WORDS.fullmatch(text) is not None)
    target = _TARGET.search(bare)
    rule = Rule(text, targets=(target[1],) if target else (), understood=understood)
    section.chains[name][1].append(rule)
    return "" if understood else "iptables could not print this rule whole"

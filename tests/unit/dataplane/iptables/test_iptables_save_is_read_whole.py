"""The reader of iptables-save drops nothing: printing gives the same rules, and refusals are named."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane_golden import FILES, goldens, load
from kubewire.dataplane.iptables.observed import parse_iptables_save
from printed_dumps import print_iptables_save

DUMPS = [
    (name, node.name, family)
    for name in goldens("iptables-v")
    for node in load(name).nodes
    for family in ("ipv4", "ipv6")
]


def dump(name: str, node: str, family: str) -> str:
    return next(entry.files[FILES[family]] for entry in load(name).nodes if entry.name == node)


def bare(text: str) -> list[str]:
    """Lines without counters and comments."""
    lines = (re.sub(r"^\[\d+:\d+\] ", "", line) for line in text.splitlines() if not line.startswith("#"))
    return [re.sub(r"^(:.*) \[\d+:\d+\]$", r"\1 [0:0]", line) for line in lines]


@pytest.mark.parametrize(("name", "node", "family"), DUMPS)
def test_printing_gives_back_a_real_dump(name: str, node: str, family: str) -> None:
    text = dump(name, node, family)
    read = parse_iptables_save(text, family)
    assert read.problems == ()
    assert print_iptables_save(read).splitlines() == bare(text)
    assert parse_iptables_save(print_iptables_save(read), family) == read


WORD = st.from_regex(r'[A-Za-z0-9_./:,!-]{1,12}|"([A-Za-z0-9 >.\'-]|\\"){0,12}"', fullmatch=True)
NAME = st.from_regex(r"[A-Z][A-Z0-9-]{0,20}", fullmatch=True)
TABLES = st.dictionaries(
    st.sampled_from(["nat", "filter", "mangle", "raw"]),
    st.dictionaries(NAME, st.lists(st.lists(WORD, max_size=6).map(" ".join), max_size=4), max_size=4),
    min_size=1,
)


def text_of(tables: dict[str, dict[str, list[str]]]) -> str:
    lines: list[str] = []
    for table, chains in tables.items():
        lines += [f"*{table}", *(f":{name} - [1:2]" for name in chains)]
        lines += [f"-A {name} {rule}".rstrip() for name, rules in chains.items() for rule in rules]
        lines.append("COMMIT")
    return "".join(f"{line}\n" for line in lines)


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_reading_and_printing_is_a_fixed_point(tables: dict[str, dict[str, list[str]]]) -> None:
    read = parse_iptables_save(text_of(tables), "ipv4")
    printed = print_iptables_save(read)
    assert read.problems == ()
    assert printed.splitlines() == bare(text_of(tables))
    assert parse_iptables_save(printed, "ipv4") == read


@settings(deadline=None)
@given(st.text(alphabet='*:-A CKUBE[0]#"\\\n', max_size=120))
def test_any_text_is_either_understood_or_reported(text: str) -> None:
    read = parse_iptables_save(text, "ipv4")
    if not read.problems:
        kept = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        assert len(print_iptables_save(read).splitlines()) == len(kept)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("iptables-save: Permission denied", "not a line of iptables-save"),
        ("-A KUBE-NOWHERE -j RETURN", "a rule of a chain that was not declared"),
        ("-A INPUT -p tcp -j DNAT [unsupported revision]", "iptables could not print this rule whole"),
        ('-A INPUT -m comment --comment "cut', "iptables could not print this rule whole"),
        ("# Table `nat' is incompatible, use 'nft' tool.", "iptables can't read this table"),
        (":INPUT", "not a chain as iptables-save declares it"),
        (":INPUT ACCEPT [0:0]", "the chain is declared twice"),
        ("*nat", "the table before this one ends without COMMIT"),
    ],
)
def test_what_is_not_understood_is_reported_with_its_text(line: str, why: str) -> None:
    text = f"*filter\n:INPUT ACCEPT [0:0]\n{line}\n-A INPUT -j ACCEPT\nCOMMIT\n"
    problems = parse_iptables_save(text, "ipv4").problems
    assert (problems[0].text, problems[0].why, problems[0].where) == (line, why, "line 3")


def test_a_cut_and_an_empty_dump_are_problems() -> None:
    assert [p.why for p in parse_iptables_save("*nat\n:A - [0:0]\n", "ipv4").problems] == [
        "the dump is cut: no COMMIT"
    ]
    assert [p.why for p in parse_iptables_save("# only a comment\n", "ipv4").problems] == [
        "the dump is empty"
    ]


def test_the_tools_warning_is_kept() -> None:
    warning = "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them"
    assert parse_iptables_save(f"*nat\nCOMMIT\n{warning}\n", "ipv4").remarks == (warning[2:],)


@pytest.mark.parametrize("odd", ["\x0b", "\x0c", "\x1c", "\r", "\x85", "\u2028"])
def test_a_line_ends_where_iptables_ends_it(odd: str) -> None:
    """A comment may hold what Python, too, calls the end of a line; iptables-save prints it as it is."""
    text = f'*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment "a{odd}b" -j ACCEPT\nCOMMIT\n'
    read = parse_iptables_save(text, "ipv4")
    assert read.problems == ()
    assert print_iptables_save(read) == text

"""The text of `ipset save`, both address families in one dump."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec.structs import replace

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Dataplane, Element, Problem, Set
from kubewire.dataplane.ipvs import names

_VALUED = frozenset(
    (
        *("family", "hashsize", "maxelem", "bucketsize", "initval", "range"),
        *("timeout", "netmask", "markmask", "size"),
    )
)
_FLAGS = frozenset(("counters", "comment", "skbinfo", "forceadd"))
_VOLATILE = ("hashsize", "bucketsize", "initval")
_IP = r"[0-9a-fA-F:.]+"
_PAIR = rf"{_IP},[a-z0-9-]+:\d+"
_EXTRAS = r"(?: (?:timeout \d+|packets \d+|bytes \d+|comment \"[^\"]*\"|skb\w+ \S+|nomatch))*"
_MEMBERS = {
    "hash:ip": re.compile(_IP + _EXTRAS),
    "hash:ip,port": re.compile(_PAIR + _EXTRAS),
    "hash:ip,port,ip": re.compile(rf"{_PAIR},{_IP}{_EXTRAS}"),
    "hash:ip,port,net": re.compile(rf"{_PAIR},{_IP}(?:/\d+)?{_EXTRAS}"),
    "bitmap:port": re.compile(r"\d+" + _EXTRAS),
}


@lru_cache(maxsize=1)
def parse_ipset_save(text: str) -> Dataplane:
    """Read a dump into the Dataplane's sets; a line that is not understood, and an empty dump, is a Problem.

    A set's family is that of the kube-proxy that writes a set of that name, else the one it was created with.
    """
    sets: dict[str, Set] = {}
    elements: dict[str, list[Element]] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        verb, _, rest = line.strip().partition(" ")
        name, _, body = rest.partition(" ")
        if verb == "create" and body and name not in sets:
            made = _create(name, body)
            why = made if isinstance(made, str) else ""
            if isinstance(made, Set):
                sets[name], elements[name] = made, []
        elif verb == "create":
            why = "the set is there twice" if body else "not a set as ipset saves it"
        elif verb == "add" and name in sets:
            pattern = _MEMBERS.get(sets[name].key_type)
            understood = bool(body) and (pattern is None or pattern.fullmatch(body) is not None)
            why = "" if understood else f"not a member of a {sets[name].key_type} set"
            if understood:
                elements[name].append(Element(body))
        elif verb == "add":
            why = "a member of a set that was not made"
        else:
            why = "not a line of ipset save" if line.strip() else ""
        if why:
            problems.append(Problem(f"line {number}", line, why))
    if not sets:
        problems.append(Problem("", "", "the dump is empty"))
    return Dataplane(
        sets=tuple(replace(item, elements=tuple(elements[name])) for name, item in sets.items()),
        problems=tuple(problems),
    )


def steady_options(item: Set) -> list[str]:
    """A set's options without the sizes and seeds that the kernel chooses each time."""
    return [option for option in item.options if not option.startswith(_VOLATILE)]


def create_line(item: Set, *, volatile: bool = True) -> str:
    """A set as ipset prints it; if not `volatile`, without values that change by themselves."""
    options = item.options if volatile else steady_options(item)
    return " ".join(("create", item.name, item.key_type, *options))


def _create(name: str, body: str) -> Set | str:
    """The set of a `create` line, or why it can't be understood."""
    kind, *words = body.split()
    options: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in _VALUED:
            value = next(rest, "")
            if not value:
                return f"{word} has no value"
            options.append(f"{word} {value}")
        elif word in _FLAGS:
            options.append(word)
        else:
            return f"{word!r} is not an option of a set"
    family: IpFamily = names.set_family(name) or (
        "ipv6" if "family inet6" in options else "ipv4" if "family inet" in options else ""
    )
    return Set(family, "", name, kind, options=tuple(options))

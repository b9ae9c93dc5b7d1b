"""The Ansible inventory for `--host NAME`: where it is, and which hosts a name matches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kubewire.core import resources
from kubewire.core.errors import DefinitionError
from kubewire.core.processes import run
from kubewire.core.serialization import decode
from kubewire.core.timeouts import scaled
from kubewire.lab.values import nearest

VARIABLE = "KUBEWIRE_INVENTORY"
SYSTEM = Path("/etc/ansible/hosts")
SECONDS = 120.0
"""Seconds for an inventory, which may be a script that queries a cloud."""
LIMIT = 64 << 20


class Group(msgspec.Struct):
    """A group in the output of `ansible-inventory --list`; `_meta`, which isn't a group, has neither key."""

    hosts: list[str] = []
    children: list[str] = []


@dataclass(frozen=True)
class Target:
    """The hosts of a command: the pattern that matches them, their names, and their inventories."""

    pattern: str
    hosts: tuple[str, ...]
    inventory: tuple[str, ...]

    @property
    def is_group(self) -> bool:
        """Whether the reports are printed as a table: the pattern matches, or can match, several hosts."""
        return self.hosts != (self.pattern,)

    @property
    def headline(self) -> str:
        """`students: 2 hosts of classroom.yml`."""
        hosts = f"{len(self.hosts)} hosts" if self.is_group else "a host"
        return f"{self.pattern}: {hosts} of {', '.join(self.inventory)}"


def find_target(names: str, inventory: Iterable[str] = ()) -> Target:
    """The hosts that `names` matches: hosts and groups, separated by commas.

    Raises DefinitionError for a missing inventory, one that Ansible can't read, or an unknown name.
    """
    sources = tuple(str(Path(source).expanduser().absolute()) for source in inventory) or known_inventory()
    if not sources:
        raise DefinitionError(
            f"--host {names}: there is no inventory to find it in",
            hint=f"name one with --inventory FILE or {VARIABLE}; inventories/classroom.example shows how",
        )
    hosts = hosts_of(names, read_inventory(sources), sources)
    return Target(names, hosts, sources)


def known_inventory() -> tuple[str, ...]:
    """$KUBEWIRE_INVENTORY, else Ansible's own variable, else `./inventories`, else Ansible's in /etc."""
    for variable in (VARIABLE, "ANSIBLE_INVENTORY"):
        if value := os.environ.get(variable):
            return tuple(str(Path(source).expanduser().absolute()) for source in value.split(",") if source)
    folder = Path.cwd() / "inventories"
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    own = tuple(str(path) for path in found if path.name != "local" and not path.name.endswith(".example"))
    return own or ((str(SYSTEM),) if SYSTEM.exists() else ())


def read_inventory(sources: Iterable[str]) -> Mapping[str, Group]:
    """The inventory as `ansible-inventory --list` prints it; DefinitionError with Ansible's message."""
    options = [part for source in sources for part in ("-i", source)]
    command = [str(Path(sys.executable).parent / "ansible-inventory"), *options, "--list"]
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(resources.root() / "ansible.cfg"),
        "ANSIBLE_INVENTORY_ENABLED": "host_list,script,auto,yaml,ini",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
        "ANSIBLE_VERBOSITY": "0",
    }
    done = run(command, timeout=scaled(SECONDS), limit=LIMIT, env=environment)
    if done.code:
        words = [line for line in done.err.splitlines() if line.strip()]
        raise DefinitionError(
            "the inventory can't be read: " + "\n  ".join(words[-3:]), where=", ".join(sources)
        )
    return groups_of(done.stdout, sources)


def groups_of(listed: bytes, sources: Iterable[str] = ()) -> Mapping[str, Group]:
    """The groups in the output of `ansible-inventory --list`; DefinitionError for anything else."""
    try:
        return decode(listed, dict[str, Group])
    except (ValueError, RecursionError) as error:
        raise DefinitionError(f"the inventory can't be read: {error}", where=", ".join(sources)) from error


def hosts_of(names: str, inventory: Mapping[str, Group], sources: Iterable[str] = ()) -> tuple[str, ...]:
    """The hosts that the names match, each once, in the inventory's order."""
    found: dict[str, None] = {}
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name in inventory and name != "_meta":
            found |= dict.fromkeys(_members(name, inventory))
        elif name in set(_members("all", inventory)):
            found[name] = None
        else:
            known = sorted({*inventory, *_members("all", inventory)} - {"_meta", "ungrouped", "all"})
            guess = nearest(name, known)
            raise DefinitionError(
                f"there is no host or group {name!r} in the inventory",
                where=", ".join(sources),
                hint=(f"did you mean {guess}? " if guess else "")
                + f"it has: {', '.join(known) or 'nothing'}",
            )
    if not found:
        raise DefinitionError(f"--host {names}: no host is in it", where=", ".join(sources))
    return tuple(found)


def _members(group: str, inventory: Mapping[str, Group]) -> list[str]:
    """The hosts of a group and its child groups; each group is visited once."""
    met: dict[str, None] = {}
    waiting = [group]
    while waiting:
        if (name := waiting.pop()) not in met and name in inventory:
            met[name] = None
            waiting += reversed(inventory[name].children)
    return [host for name in met for host in inventory[name].hosts]

"""The texts of dumps, printed from a dataplane: reading them gives the same dataplane."""

from __future__ import annotations

from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.iptables.observed import rule_line
from kubewire.dataplane.ipvs.ipset import create_line
from kubewire.dataplane.ipvs.ipvsadm import real_lines, server_line


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


def print_ipset_save(dataplane: Dataplane) -> str:
    """The dump's text again: parsing it gives the same sets."""
    lines: list[str] = []
    for item in dataplane.sets:
        lines.append(create_line(item))
        lines += [f"add {item.name} {element.key}" for element in item.elements]
    return "".join(f"{line}\n" for line in lines)


def print_ipvsadm_save(dataplane: Dataplane) -> str:
    """The dump's text again: parsing it gives the same servers."""
    lines: list[str] = []
    for server in dataplane.servers:
        lines.append(server_line(server))
        lines += real_lines(server, server.servers)
    return "".join(f"{line}\n" for line in lines)

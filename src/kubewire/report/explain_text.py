"""An explanation as text: each object as the tool prints it, and below it why it exists."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.text import Text

from kubewire.core.console import Screen
from kubewire.core.printable import printable
from kubewire.dataplane.core.cluster import ServicePort
from kubewire.dataplane.core.objects import with_port
from kubewire.dataplane.explain import Line
from kubewire.dataplane.explain_service import Explanation

_FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6", "": ""}


def print_explanation(explanation: Explanation, screen: Screen) -> None:
    """Print it; the tools' texts are never wrapped, cut, or taken for markup."""
    for line in render(explanation):
        screen.rendered(line)


def render(explanation: Explanation) -> Iterator[Text]:
    """All lines."""
    yield Text.assemble(
        (printable(explanation.service), "bold"),
        f" on {explanation.node}, kube-proxy {explanation.version} in {explanation.mode} mode",
    )
    if explanation.nothing:
        yield Text(f"  {explanation.nothing}")
    for family, lines in explanation.families:
        yield Text()
        addresses = "; ".join(_address(port) for port in explanation.ports if port.family == family)
        yield Text(printable(f"{_FAMILIES[family]}: {addresses}"), style="bold")
        for place, inside in groupby(lines, lambda line: line.place):
            yield Text()
            yield Text(printable(place), style="bold cyan")
            yield from _reasons(inside)


def _reasons(lines: Iterator[Line]) -> Iterator[Text]:
    """Consecutive objects with the same reason share its line."""
    for (why, source), together in groupby(lines, lambda line: (line.why, line.source)):
        yield from (Text(f"  {printable(line.text)}") for line in together)
        yield Text.assemble("      ", (printable(why), "italic"), (f"  ({source})", "dim"))


def _address(port: ServicePort) -> str:
    node_port = f", node port {port.node_port}" if port.node_port else ""
    return f"{port.name} {with_port(port.cluster_ip, port.port)}/{port.protocol.lower()}{node_port}"

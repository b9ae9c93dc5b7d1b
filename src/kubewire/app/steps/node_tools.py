"""The tools on a node and their versions."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from kubewire.app.steps.outcome import Outcome
from kubewire.core import processes
from kubewire.core.errors import HostError
from kubewire.lab.lookup import required_record
from kubewire.providers.base import Change, tool_command
from kubewire.providers.registry import get_provider, recorded_provider

ALWAYS = ("iptables", "nft", "ip", "conntrack")
SECONDS = 300.0
MARK = "\x1f"
# One line a tool: its name, a separator, the first line of its version (empty if it isn't installed).
# ipvsadm prints none if the kernel has no ip_vs; its package's version is used then.
SCRIPT = """PATH="$PATH:/usr/sbin:/sbin"
for tool in {tools}; do
  printf '%s\\037' "$tool"
  if command -v "$tool" > /dev/null 2>&1; then
    case "$tool" in ip) option=-V ;; *) option=--version ;; esac
    version=$("$tool" "$option" 2>/dev/null | head -n 1)
    [ -n "$version" ] || version=$(dpkg-query -W -f '${{Version}}' "$tool" 2>/dev/null)
    echo "${{version:-present}}"
  else echo; fi
done"""


def script(tools: tuple[str, ...]) -> str:
    """The POSIX shell script that prints all tools' versions."""
    return SCRIPT.format(tools=" ".join(shlex.quote(tool) for tool in tools))


def parse_versions(text: str) -> dict[str, str]:
    """Each tool's version line, by its name; "" for one that isn't installed."""
    pairs = (line.partition(MARK) for line in text.splitlines() if MARK in line)
    return {tool.strip(): version.strip() for tool, _, version in pairs}


def tell_tools(lab: str, node: str, run: Callable[[str], str], *, check: bool = False) -> Outcome:
    """The versions of a node's tools; HostError naming those that the lab asks for and the node lacks.

    If the provider can install tools, the missing ones are installed; with `check` they are only named.
    """
    record = required_record(lab)
    provider = get_provider(record.provider)
    wanted = tuple(map(tool_command, record.lab.tools))
    versions = parse_versions(run(script(tuple(dict.fromkeys((*ALWAYS, *wanted))))))
    missing = [tool for tool in wanted if not versions.get(tool)]
    changes: list[Change] = []
    if missing and provider.installs_tools:
        changes = [Change(node, f"{tool} installed") for tool in missing]
        if check:
            return Outcome(
                changes, {"tools": {tool: version for tool, version in versions.items() if version}}
            )
        provider.install_tools(node, missing)
        versions = parse_versions(run(script(tuple(versions))))
        missing = [tool for tool in wanted if not versions.get(tool)]
    if missing:
        raise HostError(f"missing tools: {', '.join(missing)}", where=node, hint="install their packages")
    return Outcome(changes, {"tools": {tool: version for tool, version in versions.items() if version}})


def tell_all_tools(lab: str, *, check: bool = False) -> Outcome:
    """The same for every node of a lab on this machine."""
    changes: list[Change] = []
    tools = {}
    for node in recorded_provider(lab).nodes(lab):

        def run(command: str, prefix: tuple[str, ...] = node.prefix) -> str:
            return processes.run([*prefix, "/bin/sh", "-c", command], timeout=SECONDS).out

        outcome = tell_tools(lab, node.name, run, check=check)
        changes += outcome.changes
        tools[node.name] = outcome.facts["tools"]
    return Outcome(changes, {"tools": tools})

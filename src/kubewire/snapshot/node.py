"""One node's part of a snapshot: the script that runs there, and reading what it prints (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kubewire.core.bounded_yaml import read_yaml
from kubewire.dataplane.core.localhost import MOST_LISTENERS
from kubewire.dataplane.core.snapshot import CONNTRACK, DUMPS, NFT_FOREIGN, PROXY_STATUS, NodeSnapshot
from kubewire.snapshot import proxy_status

_DOTTED = str.maketrans("/.", "./")
_SPAN = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
_SOCKET = re.compile(
    r"^(tcp|udp)[ \t]+\S+[ \t]+\d+[ \t]+\d+[ \t]+(\S+):(\d{1,5})[ \t]+\S+"
    r'(?:[ \t]+users:\(\("([^"\n]{1,64})",pid=(\d{1,9}))?',
    re.MULTILINE,
)
_BEFORE = r"""
mark=$1
exec 3>&1
take() {
  name=$1; shift
  printf '%s out %s\n' "$mark" "$name"
  problem=$("$@" 2>&1 >&3); code=$?
  printf '\n%s err %s %s\n%s\n' "$mark" "$name" "$code" "$problem"
}
proxy=
net=$(readlink /proc/self/ns/net)
for process in /proc/[0-9]*; do
  read -r comm 2>/dev/null <"$process/comm" || continue
  case $comm in kube-proxy*) ;; *) continue ;; esac
  parent=$(sed -n 's/^PPid:[[:space:]]*//p' "$process/status" 2>/dev/null)
  read -r comm 2>/dev/null <"/proc/$parent/comm" || comm=
  case $comm in kube-proxy*) continue ;; esac # a tool that kube-proxy is about to run
  [ "$(readlink "$process/ns/net")" = "$net" ] && proxy=$process
done
arguments() { tr '\0' '\n' <"$proxy/cmdline"; }
config() {
  [ -n "$proxy" ] || { cat /run/kube-proxy/config.yaml; return; }
  path=$(arguments | sed -n -e 's/^--config=//p' -e '/^--config$/{n;p;}')
  case $path in /*) cat "$proxy/root$path" ;; *) cat "$proxy/cwd/$path" ;; esac
}
version() {
  [ -n "$proxy" ] || { echo 'kube-proxy does not run on this node' >&2; return 3; }
  "$proxy/exe" --version
}
sysctls() {
  cd /proc/sys || return
  # not by read: dash reads byte by byte, and the kernel gives a number's first byte only
  grep -sH '' net/netfilter/nf_conntrack_tcp_be_liberal net/ipv4/conf/all/route_localnet \
    net/ipv4/ip_forward net/ipv6/conf/all/forwarding net/ipv4/vs/conntrack net/ipv4/vs/conn_reuse_mode \
    net/ipv4/vs/expire_nodest_conn net/ipv4/vs/expire_quiescent_template \
    net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce net/ipv6/conf/all/disable_ipv6 \
    net/ipv6/conf/default/disable_ipv6 net/ipv6/conf/default/accept_dad \
    net/netfilter/nf_conntrack_max net/netfilter/nf_conntrack_count net/netfilter/nf_conntrack_buckets \
    net/bridge/bridge-nf-call-iptables net/bridge/bridge-nf-call-ip6tables net/ipv4/conf/*/rp_filter |
    sed 's/:\([^:]*\)$/=\1/'
}
accounting() {
  [ -d /sys/module/nfnetlink_acct ] && { echo yes; return; }
  read -r line 2>/dev/null </proc/kallsyms || { echo 'no kernel symbols to look in' >&2; return 3; }
  if grep -q ' nfnl_acct_' /proc/kallsyms; then echo yes; else echo no; fi
}
ipv6() {
  [ -e /proc/net/if_inet6 ] || { echo absent; return; }
  read -r value </proc/sys/net/ipv6/conf/all/disable_ipv6
  if [ "$value" = 1 ]; then echo disabled; else echo on; fi
}
listed() {
  if [ -r /proc/net/nf_conntrack ]; then timeout 20 cat /proc/net/nf_conntrack; return; fi
  for family in ipv4 ipv6; do timeout 10 conntrack -L -f "$family" -o extended; done 2>/dev/null
}
connections() {
  [ -r /proc/net/nf_conntrack ] || command -v conntrack >/dev/null || {
    echo 'the kernel shows no /proc/net/nf_conntrack, and the tool conntrack is missing' >&2; return 3
  }
  listed | grep -E '^(ipv[46] +[0-9]+ +)?(udp|sctp) ' | {
    head -c 16777216
    read -r rest && printf '\n# cut after 16 MiB\n'
    :
  }
}
tools() {
  uname -r
  for tool in iptables nft ipset ipvsadm; do
    command -v "$tool" >/dev/null || continue
    version=$("$tool" --version 2>/dev/null | head -n 1)
    # ipvsadm says nothing where the kernel has no ip_vs
    echo "$tool=${version:-$(dpkg-query -W -f '${Version}' "$tool" 2>/dev/null)}"
  done
}
listeners() {
  command -v ss >/dev/null || { echo 'the tool ss is missing' >&2; return 3; }
  timeout 10 ss -Hlntup | head -n LISTENER_LIMIT
}
foreign_tables() {
  tables=$(nft list tables) || return
  case $(iptables --version 2>/dev/null) in *nf_tables*) saved=/ ;; *) saved=legacy/ ;; esac
  printf '%s\n' "$tables" | head -n 200 | while read -r _ family table; do
    case $saved$family/$table in
      /ip/filter | /ip/mangle | /ip/nat | /ip/raw | /ip/security | */ip/kube-proxy | */) continue ;;
      /ip6/filter | /ip6/mangle | /ip6/nat | /ip6/raw | /ip6/security | */ip6/kube-proxy) continue ;;
    esac
    printf '%s %s\n' "$family" "$table"
    nft -j list table "$family" "$table" | head -c TABLE_LIMIT
    echo
  done
}
[ -n "$proxy" ] && take arguments arguments
take kube-proxy.yaml config
take kube-proxy-version version
take sysctls sysctls
take cpus cat /sys/devices/system/cpu/online
take accounting accounting
take ipv6 ipv6
take tools tools
take listeners listeners
take conntrack.txt connections
"""
_AFTER = r"""
take nft-foreign.json foreign_tables
take kube-proxy-status proxy_status
take route4 ip -j -4 route
take route6 ip -j -6 route
printf '%s end\n' "$mark"
"""
TABLE_LIMIT = 2 << 20
_DUMPS = "\n".join(f"take {file} {command}" for file, command in DUMPS.items())
SCRIPT = (
    proxy_status.SHELL
    + _BEFORE.replace("TABLE_LIMIT", str(TABLE_LIMIT)).replace("LISTENER_LIMIT", str(MOST_LISTENERS))
    + _DUMPS
    + _AFTER
)
"""POSIX sh; its one argument is the mark that frames the sections.

kube-proxy is found as the process of that name in the node's own network namespace, so the configuration
and the version are those of the process that writes the rules.
The nfacct fact is the kernel's: kube-proxy makes its counters by netlink (pkg/util/nfacct) in its own network
namespace, which works exactly where the kernel has nfnetlink_acct, built in or loaded.
Other owners' nft tables, at most 200 of 2 MiB each, are listed singly: those of iptables-nft, which may be
large, are in iptables-save. Beside a legacy iptables an nft table of such a name is another owner's.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """What one command printed, its exit code and its stderr."""

    out: str
    code: int
    err: str


def split_sections(text: str, mark: str) -> tuple[dict[str, Section], bool]:
    """The script's sections by name, and whether its output is whole."""
    sections: dict[str, Section] = {}
    parts = text.split(f"{mark} ")
    name = out = ""
    for part in parts[1:]:
        head, ended, body = part.partition("\n")
        kind, _, rest = head.partition(" ")
        if kind == "out":
            name, out = rest, body.removesuffix("\n")
        elif kind == "err" and ended and rest.startswith(f"{name} "):
            code = rest.rpartition(" ")[2]
            sections[name] = Section(out, int(code), body.strip())
    return sections, parts[-1].startswith("end")


def node_snapshot(name: str, sections: Mapping[str, Section], default_version: str) -> NodeSnapshot:
    """The contract's files from the sections; failures are in `errors`, with the reason.

    `default_version` is used where kube-proxy doesn't run.
    """
    files: dict[str, str] = {}
    errors: dict[str, str] = {}
    for file in (*DUMPS, CONNTRACK):
        section = sections.get(file)
        if section is None:
            errors[file] = "not taken: the node's answer ended before it"
        elif section.code:
            errors[file] = f"exit code {section.code}: {section.err}"
        else:
            files[file] = section.out
    _add_kube_proxy(name, sections, default_version, files, errors)
    _add_routes(sections, files, errors)
    _add_foreign_tables(sections.get(NFT_FOREIGN), files, errors)
    if status := sections.get("kube-proxy-status"):
        files[PROXY_STATUS] = proxy_status.proxy_status(status.out)
    files["facts.json"] = json.dumps(facts(sections), indent=1, sort_keys=True)
    return NodeSnapshot(name, files, errors)


def _add_kube_proxy(
    node: str,
    sections: Mapping[str, Section],
    default_version: str,
    files: dict[str, str],
    errors: dict[str, str],
) -> None:
    config = sections.get("kube-proxy.yaml")
    if config is None or config.code:
        errors["kube-proxy.yaml"] = config.err if config else "not taken"
    else:
        files["kube-proxy.yaml"] = with_hostname(config.out, node)
    version = sections.get("kube-proxy-version")
    if version is not None and not version.code:
        files["kube-proxy-version"] = version.out.strip().rpartition(" ")[2]
    else:
        errors["kube-proxy-version"] = version.err if version else "not taken"
        if default_version:
            files["kube-proxy-version"] = default_version


def with_hostname(text: str, node: str) -> str:
    """The configuration with hostnameOverride, which kubeadm's DaemonSet gives as a flag instead."""
    try:
        config = read_yaml(text)
    except ValueError:
        return text
    if not isinstance(config, dict) or config.get("hostnameOverride"):
        return text
    return yaml.safe_dump({**config, "hostnameOverride": node}, sort_keys=False)


def _add_routes(sections: Mapping[str, Section], files: dict[str, str], errors: dict[str, str]) -> None:
    """Both families in one array, as `ip -j route` prints each."""
    routes: list[Any] = []
    for name in ("route4", "route6"):
        section = sections.get(name)
        if section is None or section.code:
            errors["ip-route.json"] = section.err if section else "not taken"
            return
        try:
            routes += json.loads(section.out or "[]")
        except (ValueError, TypeError, RecursionError) as error:
            errors["ip-route.json"] = f"not JSON: {error}"
            return
    files["ip-route.json"] = json.dumps(routes)


_TABLE = re.compile(r"^([a-z][a-z0-9]*) (.+)\n", re.MULTILINE)


def _add_foreign_tables(section: Section | None, files: dict[str, str], errors: dict[str, str]) -> None:
    """One document of each table's own; the script prints a line `FAMILY TABLE` before each."""
    if section is None or section.code:
        errors[NFT_FOREIGN] = f"exit code {section.code}: {section.err}" if section else "not taken"
        return
    _, *parts = _TABLE.split(section.out)
    items: list[Any] = []
    for family, table, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        try:
            items += [item for item in json.loads(text)["nftables"] if "metainfo" not in item]
        except (ValueError, TypeError, KeyError, RecursionError):
            why = section.err or f"nft printed no JSON, or more than {TABLE_LIMIT >> 20} MiB of it"
            items.append({"table": {"family": family, "name": table, "unread": why}})
    files[NFT_FOREIGN] = json.dumps({"nftables": items})


def facts(sections: Mapping[str, Section]) -> dict[str, Any]:
    """facts.json: tcp_be_liberal, route_localnet, cpus (int), nfacct (bool), ipv6, sysctls, listeners, tools,
    kernel.

    `ipv6` is `on`, `disabled` (by sysctl) or `absent` (from the kernel); `cpus` counts those that are online;
    `sysctls` are named as sysctl(8) prints them; `listeners` have protocol, address, port and, where known,
    process and pid. An unknown fact is absent.
    """
    found: dict[str, Any] = {"kube_proxy_running": "arguments" in sections}
    sysctls = _pairs(sections.get("sysctls"))
    for fact, sysctl in (
        ("tcp_be_liberal", "net/netfilter/nf_conntrack_tcp_be_liberal"),
        ("route_localnet", "net/ipv4/conf/all/route_localnet"),
    ):
        if sysctls.get(sysctl, "").isdigit():
            found[fact] = int(sysctls[sysctl])
    accounting = sections.get("accounting")
    if accounting is not None and not accounting.code:
        found["nfacct"] = accounting.out.strip() == "yes"
    ipv6 = sections.get("ipv6")
    if ipv6 is not None and not ipv6.code:
        found["ipv6"] = ipv6.out.strip()
    found["sysctls"] = {name.translate(_DOTTED): value for name, value in sysctls.items()}
    cpus = sections.get("cpus")
    if cpus is not None and (count := _cpus(cpus.out)):
        found["cpus"] = count
    listeners = sections.get("listeners")
    if listeners is not None and not listeners.code and listeners.out.count("\n") < MOST_LISTENERS:
        found["listeners"] = _listeners(listeners.out)
    tools = sections.get("tools")
    if tools is not None:
        found["kernel"] = tools.out.partition("\n")[0]
        found["tools"] = {name: value for name, value in _pairs(tools).items() if value}
    return found


def _listeners(text: str) -> list[dict[str, str | int]]:
    """What `ss -Hlntup` prints; of several processes that share a socket the first."""
    found: list[dict[str, str | int]] = []
    for match in _SOCKET.finditer(text):
        protocol, address, port, process, pid = match.groups()
        item: dict[str, str | int] = {"protocol": protocol, "address": address.strip("[]"), "port": int(port)}
        found.append({**item, "process": process, "pid": int(pid)} if process else item)
    return found


def _cpus(text: str) -> int:
    """How many CPUs a list as `0-3,8` names; 0 for anything else."""
    spans = [_SPAN.fullmatch(span) for span in text.strip()[:4096].split(",")]
    return sum(int(s[2] or s[1]) - int(s[1]) + 1 for s in spans if s) if all(spans) else 0


def _pairs(section: Section | None) -> dict[str, str]:
    lines = section.out.splitlines() if section else []
    return {key: value for key, found, value in (line.partition("=") for line in lines) if found}

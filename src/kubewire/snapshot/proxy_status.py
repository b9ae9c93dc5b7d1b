"""kube-proxy's own word on a node, for kube-proxy-status.json: the shell that asks, and reading it (pure)."""

from __future__ import annotations

import json
import re
from typing import Any

SHELL = r"""
patience=1
configured() {
  config 2>/dev/null |
    sed -n "s/^[[:space:]\"']*$1[\"']*:[[:space:]]*[\"']*\([^\"',[:space:]]*\).*/\1/p" | head -n 1
}
ask() {
  host=${1%:*}; port=${1##*:}; host=${host#[}; host=${host%]}
  case $host in '' | 0.0.0.0) host=127.0.0.1 ;; ::) host=::1 ;; esac
  case $host in *:*) url="[$host]:$port" ;; *) url=$host:$port ;; esac
  if command -v curl >/dev/null; then
    curl -gsm "$patience" --noproxy '*' -w '\nHTTP/1 %{http_code}\n' "http://$url$2"
  else
    timeout "$patience" \
      bash -c 'exec 9<>"/dev/tcp/$1/$2" && printf "GET $3 HTTP/1.0\r\n\r\n" >&9 && cat <&9' \
      bash "$host" "$port" "$2"
  fi
}
proxy_status() {
  echo "time $(date +%s)"
  [ -n "$proxy" ] || { echo 'state absent'; return; }
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "$proxy/status")
  echo "state $state"
  case $state in T | t) return ;; esac
  address=$(configured healthzBindAddress)
  answer=$(ask "${address:-127.0.0.1:10256}" /healthz 2>/dev/null); code=$?
  printf 'healthz %s %s\n' "$code" "$(printf %s "$answer" | tr '\r\n' '  ' | head -c 2000)"
  address=$(configured metricsBindAddress)
  ask "${address:-127.0.0.1:10249}" /metrics 2>/dev/null | grep -a '^kubeproxy_sync_proxy_rules_' |
    grep -aE 'last_(queued_)?timestamp_seconds|iptables_restore_failures|nftables_sync_failures' | head -n 20
  for log in "$proxy/fd/2" /var/log/containers/kube-proxy-*_kube-system_kube-proxy-*.log; do
    [ -f "$log" ] || continue
    tail -c 65536 "$log" | grep -aE -A 3 '(^| [FP] )E[0-9]{4} ' | tail -n 8 | cut -c 1-500 | sed 's/^/log /'
    break
  done
  :
}
"""
"""POSIX sh for the node script: needs its `proxy` and `config`; two questions of `patience` seconds at most.

Addresses, metrics: pkg/proxy/apis/config/v1alpha1/defaults.go, pkg/proxy/metrics/metrics.go.
"""
_METRIC = re.compile(r'kubeproxy_sync_proxy_rules_(\w+)(?:\{[^}]*?ip_family="(\w+)"[^}]*\})? ([0-9.e+]+)')
_KEYS = {
    "last_timestamp_seconds": "synced",
    "last_queued_timestamp_seconds": "queued",
    "iptables_restore_failures_total": "failures",
    "nftables_sync_failures_total": "failures",
}
_ERROR = re.compile(r"(?:^|.* [FP] )E\d{4} (\S+) +\d+ \S+\] ?(.*)")
_HEADS = re.compile(r"^\S+ std(?:out|err) [FP] ")
_HARMLESS = "configuration may be incomplete or incorrect"
_TIMEOUTS = ("28", "124")
LONGEST = 600


def proxy_status(text: str) -> str:
    """The file's JSON from what the shell printed; a part that it couldn't learn is absent."""
    found: dict[str, Any] = {}
    log: list[str] = []
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        metric = _METRIC.match(line)
        if kind == "time" and rest.isdigit():
            found["time"] = int(rest)
        elif kind == "state":
            found["state"] = rest[:10]
        elif kind == "healthz":
            found |= _healthz(rest)
        elif kind == "log":
            log.append(rest)
        elif metric and metric[1] in _KEYS:
            found.setdefault(_KEYS[metric[1]], {})[metric[2] or "all"] = float(metric[3])
    if error := _last_error(log):
        found["last_error"] = error
    return json.dumps(found, indent=1, sort_keys=True)


def _healthz(text: str) -> dict[str, Any]:
    code, _, answer = text.partition(" ")
    status = re.findall(r"HTTP/1\S* (\d{3})", answer)
    if code in _TIMEOUTS or not status or status[-1] == "000":
        return {"healthz": "timeout" if code in _TIMEOUTS else "refused"}
    eligible = re.search(r'"nodeEligible": ?(true|false)', answer)
    return {"healthz": status[-1], **({"node_eligible": eligible[1] == "true"} if eligible else {})}


def _last_error(lines: list[str]) -> str:
    """The log's last error, without klog's head; the lines of an `err=<` follow it."""
    starts = [n for n, line in enumerate(lines) if _ERROR.match(line) and _HARMLESS not in line]
    if not starts:
        return ""
    first, *rest = lines[starts[-1] :]
    match = _ERROR.match(first)
    told = [match[2] if match else first]
    for line in rest:
        plain = _HEADS.sub("", line)
        if not plain.startswith(("\t", " ")):
            break
        told.append(plain.strip())
    return " ".join(told)[:LONGEST]

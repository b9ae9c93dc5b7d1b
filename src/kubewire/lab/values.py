"""Single values of a lab file: how each is parsed, and the message if that fails."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from pydantic_core import PydanticCustomError

from kubewire.binaries.catalog import MINORS

OLDEST_MINOR, NEWEST_MINOR = min(MINORS), max(MINORS)
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
INTERFACE = r"^[^\s/%:]{0,15}$"
FEATURE_GATE = r"^[A-Za-z][A-Za-z0-9]*$"
IMAGE_REFERENCE = r"^[a-z0-9][-a-zA-Z0-9._:/]*(@sha256:[0-9a-f]{64})?$"
PATTERNS = {
    DNS_LABEL: "a DNS label: lower-case letters, digits and “-”, a letter or digit at both ends",
    INTERFACE: "an interface name: at most 15 characters, without space, “/”, “%” and “:”",
    IMAGE_REFERENCE: "an image reference: a name, optionally a tag and @sha256:digest",
    FEATURE_GATE: "a feature gate's name: letters and digits, starting with a letter",
}
NOT_A_MODE = {
    "userspace": "was removed in Kubernetes 1.26; use iptables, ipvs or nftables",
    "kernelspace": "is for Windows only (HNS); use iptables, ipvs or nftables",
    "none": "means no kube-proxy, so there is no dataplane to verify; use iptables, ipvs or nftables",
}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def wrong(message: str) -> PydanticCustomError:
    """A pydantic error with this message, whose braces are not expanded."""
    return PydanticCustomError("lab_value", "{message}", {"message": message})


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word closest to `word`, or ""."""
    by_fold = {candidate.casefold().replace("_", ""): candidate for candidate in known}
    found = get_close_matches(word.casefold().replace("_", ""), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else ""


def mode(value: Any) -> Any:
    """Reject former and Windows modes of kube-proxy, with the reason."""
    if isinstance(value, str) and value in NOT_A_MODE:
        raise wrong(f"“{value}” {NOT_A_MODE[value]}")
    return value


def kubernetes_version(value: Any) -> str:
    """`1.34`, `1.34.4` or `v1.34.4` without its v; "" means the newest known minor."""
    text = str(value) if value is not None else ""
    if not text:
        return f"1.{NEWEST_MINOR}"
    match = re.fullmatch(r"v?1\.(0|[1-9][0-9]?)(\.(?:0|[1-9][0-9]{0,2}))?", text)
    if not match:
        raise wrong(f"“{text}” is not a Kubernetes version: write 1.34 for its newest patch, or 1.34.4")
    if int(match[1]) < OLDEST_MINOR:
        raise wrong(f"“{text}” is too old: supported are 1.{OLDEST_MINOR} to 1.{NEWEST_MINOR}")
    return text.removeprefix("v")


def duration(value: Any) -> str:
    """A Go duration such as `30s` or `1m30s`, as it was written."""
    if not isinstance(value, str) or not re.fullmatch(f"(?:{_DURATION.pattern})+|0", value):
        hint = f" such as {value}s" if isinstance(value, int) and not isinstance(value, bool) else ""
        raise wrong(f"“{value}” is not a duration{hint or ' such as 30s or 1m30s'}")
    return value


def seconds(text: str) -> float:
    """The length of a Go duration that `duration` accepted."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


def split_networks(value: Any) -> Any:
    """Split a comma-separated list of subnets, as in kind and kubeadm."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def network(value: Any) -> IPv4Network | IPv6Network:
    """A subnet, without host bits."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str) or "/" not in value:
        raise wrong(f"“{value}” is not a subnet: write address/length, such as 10.244.0.0/16")
    try:
        loose = ip_network(value, strict=False)
    except ValueError:
        raise wrong(f"“{value}” is not a subnet: write address/length, such as 10.244.0.0/16") from None
    if str(loose.network_address) != str(ip_network(value.split("/")[0]).network_address):
        raise wrong(f"“{value}” has host bits set: write {loose}")
    return loose

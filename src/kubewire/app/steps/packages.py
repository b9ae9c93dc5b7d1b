"""The OS packages that a lab needs on its host."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kubewire.app.steps.cluster import Overrides, intend
from kubewire.app.steps.outcome import Outcome
from kubewire.core import os_packages
from kubewire.core.errors import HostError
from kubewire.core.os_packages import require_installable
from kubewire.lab.schema import Lab, Mode
from kubewire.providers.netns.preflight import DEBIAN_PACKAGES, IPVS_PACKAGES, survey

LAB_TOOLS = {
    "ipset": "ipset",
    "ipvsadm": "ipvsadm",
    "nftables": "nft",
    "conntrack": "conntrack",
    "tcpdump": "tcpdump",
}
"""A lab's word for a tool → its command."""
PACKAGES = DEBIAN_PACKAGES | IPVS_PACKAGES | {"tcpdump": "tcpdump"}
KIND_PACKAGES = {"docker": "docker.io", "curl": "curl"}
"""What the kind provider calls on this machine: kind the docker command, traffic checks curl."""
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,100}")
"""A Debian package's name."""


def find_missing(
    lab: str,
    overrides: Overrides,
    provider: str = "auto",
    install: bool = True,
    become: bool = False,
) -> Outcome:
    """The missing Debian packages, for the task that installs them; HostError where nothing here can."""
    intent = intend(lab, overrides, provider)
    missing = missing_packages(intent.lab, intent.choice.name)
    require_installable(missing, install=install, become=become)
    return Outcome(facts={"missing": missing, "provider": intent.choice.name})


def require_all_but_packages(lab: Lab) -> None:
    """HostError for what no package mends (no ip_vs in the kernel) or nothing here installs."""
    needs = [n for n in survey() if not n.ok and (not n.modes or lab.mode.value in n.modes)]
    hopeless = [need for need in needs if need.name not in PACKAGES]
    if hopeless:
        raise HostError(
            f"this machine can't run lab {lab.name} embedded: "
            + "; ".join(f"{need.name}: {need.detail}" for need in hopeless),
            mend="\n  ".join(dict.fromkeys(need.mend for need in hopeless if need.mend)),
        )
    missing = missing_packages(lab)
    require_installable(missing)


def missing_packages(lab: Lab, provider: str = "netns") -> list[str]:
    """The packages of every command that is neither on PATH nor where the system keeps its tools."""
    if provider == "kind":
        return os_packages.missing_packages(KIND_PACKAGES)
    return missing_for([lab.mode.value], lab.tools)


def missing_for(modes: Iterable[str], tools: Iterable[str]) -> list[str]:
    """The packages that embedded labs in these modes need, with these of a lab's tools."""
    ipvs = IPVS_PACKAGES if Mode.IPVS.value in modes else {}
    beside = {LAB_TOOLS[tool]: PACKAGES[LAB_TOOLS[tool]] for tool in tools}
    return os_packages.missing_packages(DEBIAN_PACKAGES | ipvs | beside)

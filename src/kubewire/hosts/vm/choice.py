"""Whether a lab is to run in a VM."""

from __future__ import annotations

from collections.abc import Mapping

from kubewire.core.errors import DefinitionError
from kubewire.hosts import records
from kubewire.hosts.vm.hosting import HOST
from kubewire.lab.loading import load_lab
from kubewire.lab.lookup import is_recorded
from kubewire.providers.registry import choose, embedded, get_provider


def why_in_vm(lab: str, overrides: Mapping[str, str], provider: str, host: str) -> str:
    """Why the lab is to run in a VM, "" for elsewhere: asked for, there already, or this kernel lacks what
    it needs. DefinitionError where the lab runs on this machine, or is to be of another provider.
    """
    loaded = load_lab(lab, overrides)
    known = records.read(loaded.name)
    if host == HOST:
        if is_recorded(loaded.name) or set(known) - {HOST}:
            where = "on this machine" if is_recorded(loaded.name) else f"on {', '.join(known)}"
            raise DefinitionError(
                f"lab {loaded.name} runs {where}; it can't move into a VM under it",
                mend=f"remove it first: kubewire down {loaded.name}",
            )
        if provider not in ("auto", embedded().name):
            raise DefinitionError(f"a VM's nodes are made by provider {embedded().name}, not {provider}")
        return "asked for"
    if known:
        return "it is there already" if set(known) == {HOST} else ""
    if is_recorded(loaded.name) or loaded.mode.value != "ipvs":
        return ""
    chosen = choose(provider if provider != "auto" else loaded.provider)
    return get_provider(chosen.name).why_in_vm(loaded)

"""Everything that `up` will need, fetched or built before; and what there is to fetch."""

from __future__ import annotations

from pathlib import Path

from kubewire.app.display import Display
from kubewire.app.placement import LOCAL, Request, why_in_vm
from kubewire.app.steps.cluster import intent_of
from kubewire.app.steps.packages import missing_packages
from kubewire.app.steps.vm import prepare_parts
from kubewire.binaries import store
from kubewire.binaries.catalog import KIND, KUBE_PROXY
from kubewire.binaries.offers import offers
from kubewire.core import console
from kubewire.core.errors import DefinitionError
from kubewire.core.os_packages import can_install, install, not_installable
from kubewire.hosts.vm.hosting import HOST as VM
from kubewire.lab.loading import find_lab
from kubewire.lab.schema import Lab
from kubewire.providers.registry import get_provider, providers
from kubewire.report.versions_text import kind_line, kubernetes_lines, to_json, to_text


def prefetch(request: Request) -> None:
    """Into this machine's cache; DefinitionError where the request names another host."""
    if request.host not in ("", LOCAL, VM):
        raise DefinitionError(
            f"prefetch fills this machine's cache, or a VM's (--host {VM}); not that of {request.host}",
            hint=f"run it there: ssh {request.host} kubewire prefetch {request.lab}; `up --host` fetches by"
            " itself, too",
        )
    display, lab = Display(), request.definition
    if why := why_in_vm(request):
        console.out(f"vm: {why}")
        with display.running("what a VM is made of"):
            parts, version = prepare_parts(lab, display.tell)
        console.out(f"Kubernetes {version} and a VM's parts ({parts.about}) are in the cache")
        return
    provider = get_provider(intent_of(lab, find_lab(request.lab), request.provider).choice.name)
    _install_packages(lab, provider.name, display)
    for step in provider.prefetch_plan(lab):
        console.out(step)
    with display.running(f"what the lab needs on {provider.name}"):
        lines = provider.prefetch(lab, display.tell)
    console.block("".join(f"{line}\n" for line in lines))


def _install_packages(lab: Lab, provider: str, display: Display) -> None:
    missing = missing_packages(lab, provider)
    if missing and can_install():
        with display.running("OS packages"):
            install(missing, display.tell)
    elif missing:
        display.line(not_installable(missing).what, "yellow")


def build_image(version: str, *, overlay: Path | None, output: Path | None, fresh: bool) -> None:
    """A kind node image from Debian packages and Kubernetes binaries."""
    display = Display()
    with display.running(f"node image of Kubernetes {version}"):
        builder = next(provider for provider in providers() if provider.builds_images)
        made = builder.build_image(
            version, overlay=overlay, output=output, fresh=fresh, progress=display.tell
        )
    console.out(made)


def known_versions(form: str) -> str:
    """The versions that are known, in the cache, and newly offered, as text or JSON."""
    display = Display()
    with display.running("asking for newer versions"):
        kubernetes, kind = offers(progress=display.tell)
    lines = kubernetes_lines(store.complete_versions((KUBE_PROXY,)), kubernetes)
    own = kind_line(KIND, store.complete_versions(("kind",), "kind"), kind)
    return (to_json if form == "json" else to_text)(lines, own, kubernetes, kind)

"""Download or build what `up` needs in advance, and list available versions."""

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
from kubewire.hosts.vm.state import HOST as VM
from kubewire.lab.loading import find_lab
from kubewire.lab.schema import Lab
from kubewire.providers.registry import get_provider, providers
from kubewire.report.versions_text import kind_line, kubernetes_lines, to_json, to_text


def prefetch(request: Request) -> None:
    """Fill this machine's cache; DefinitionError if the request names another host."""
    if request.host not in ("", LOCAL, VM):
        raise DefinitionError(
            f"prefetch fills the cache of this machine or a VM (--host {VM}), not of {request.host}",
            hint=f"run it there: ssh {request.host} kubewire prefetch {request.lab}; `up --host` also"
            " downloads by itself",
        )
    display, lab = Display(), request.definition
    if why := why_in_vm(request):
        console.out(f"vm: {why}")
        with display.running("the parts of a VM"):
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
        image = builder.build_image(
            version, overlay=overlay, output=output, fresh=fresh, progress=display.tell
        )
    console.out(image)


def known_versions(form: str) -> str:
    """The versions that are known, cached, and newly released, as text or JSON."""
    display = Display()
    with display.running("checking for newer versions"):
        kubernetes, kind = offers(progress=display.tell)
    lines = kubernetes_lines(store.complete_versions((KUBE_PROXY,)), kubernetes)
    own = kind_line(KIND, store.complete_versions(("kind",), "kind"), kind)
    return (to_json if form == "json" else to_text)(lines, own, kubernetes, kind)

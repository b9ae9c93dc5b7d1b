"""`kubewire prefetch`."""

from __future__ import annotations

from kubewire.cli import options


def prefetch(
    lab: options.Lab,
    *,
    kubernetes: options.Kubernetes = None,
    mode: options.Mode = None,
    settings: options.Set = None,
    provider: options.Provider = "auto",
    host: options.Host = "",
) -> None:
    """Fetch or build all that `up` will need, so that it needs no network then.

    A lab that will run in a VM, since it is asked for or this kernel has no ip_vs, gets the VM's parts too.

    **Examples**

    `kubewire prefetch iptables --kubernetes 1.34`

    `kubewire prefetch ipvs --host vm`
    """
    from kubewire.app.display import Display
    from kubewire.app.steps.cluster import intend
    from kubewire.app.steps.packages import missing_packages
    from kubewire.core import console
    from kubewire.core.errors import DefinitionError
    from kubewire.core.os_packages import can_install, install, not_installable
    from kubewire.hosts.choice import LOCAL
    from kubewire.hosts.vm.choice import why_in_vm
    from kubewire.hosts.vm.hosting import HOST
    from kubewire.providers.registry import get_provider

    if host not in ("", LOCAL, HOST):
        raise DefinitionError(
            f"prefetch fills this machine's cache, or a VM's (--host {HOST}); not that of {host}",
            mend=f"run it there: ssh {host} kubewire prefetch {lab}; `up --host` fetches by itself, too",
        )
    overrides, display = options.overrides(kubernetes, mode, None, settings), Display()
    if host != LOCAL and (why := why_in_vm(lab, overrides, provider, host)):
        from kubewire.app.steps.vm import prepare_parts
        from kubewire.lab.loading import load_lab

        console.out(f"vm: {why}")
        with display.running("what a VM is made of"):
            parts, version = prepare_parts(load_lab(lab, overrides), display.tell)
        console.out(f"Kubernetes {version} and a VM's parts ({parts.about}) are in the cache")
        return
    intent = intend(lab, overrides, provider)
    loaded = intent.lab
    if missing := missing_packages(loaded, intent.choice.name):
        if can_install():
            with display.running("OS packages"):
                install(missing, display.tell)
        else:
            display.line(not_installable(missing).what, "yellow")
    chosen = get_provider(intent.choice.name)
    for step in chosen.prefetch_plan(loaded):
        console.out(step)
    with display.running(f"what the lab needs on {chosen.name}"):
        lines = chosen.prefetch(loaded, display.tell)
    console.block("".join(f"{line}\n" for line in lines))

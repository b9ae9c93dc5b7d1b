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
    from kubewire.app.placement import Request
    from kubewire.app.prefetch import prefetch as fill_cache

    overrides = options.overrides(kubernetes, mode, None, settings)
    fill_cache(Request(lab, host, overrides=overrides, provider=provider))

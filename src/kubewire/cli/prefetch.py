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
    """Download or build everything that `up` needs, so that it needs no network.

    For a lab in a VM (--host vm, or mode ipvs if this kernel has no ip_vs) this includes the parts of the VM.

    **Examples**

    `kubewire prefetch iptables --kubernetes 1.34`

    `kubewire prefetch ipvs --host vm`
    """
    from kubewire.app.placement import Request
    from kubewire.app.prefetch import prefetch as fill_cache

    overrides = options.overrides(kubernetes, mode, None, settings)
    fill_cache(Request(lab, host, overrides=overrides, provider=provider))

"""`kubewire prefetch`."""

from __future__ import annotations

import typer

from kubewire.cli import options


def prefetch(
    lab: options.Lab,
    kubernetes: options.Kubernetes = None,
    mode: options.Mode = None,
    settings: options.Set = None,
    provider: options.Provider = "auto",
) -> None:
    """Fetch or build all that `up` will need, so that it needs no network then.

    **Example**

    `kubewire prefetch iptables --kubernetes 1.34`
    """
    from kubewire.cli.display import Display
    from kubewire.kubernetes import binaries
    from kubewire.steps.cluster import intend

    intent = intend(lab, options.overrides(kubernetes, mode, None, settings), provider)
    loaded, display = intent.lab, Display()
    if intent.choice.name == "kind":
        from kubewire.kind.prefetch import prefetch as prefetch_kind

        with display.running("what the lab needs on kind"):
            lines = prefetch_kind(loaded, display.tell)
        typer.echo("\n".join(lines))
        return
    plan = binaries.plan(loaded.kubernetes, control_plane=loaded.control_plane, dns=loaded.dns)
    for step in plan.steps:
        typer.echo(step)
    with display.running(f"Kubernetes {plan.version}"):
        found = binaries.ensure(
            loaded.kubernetes, control_plane=loaded.control_plane, dns=loaded.dns, progress=display.tell
        )
    typer.echo(f"Kubernetes {found.version} is in the cache")

"""`kubewire kubeconfig`."""

from __future__ import annotations

from kubewire.cli import options


def kubeconfig(lab: options.RunningLab, host: options.OnHost = "", form: options.Form = "text") -> None:
    """The path of the lab's kubeconfig, for kubectl on this machine; as JSON its credentials themselves.

    **Example**

    `export KUBECONFIG="$(kubewire kubeconfig iptables)"; kubectl get pods -o wide`
    """
    from kubewire.core import console
    from kubewire.hosts.choice import one_away
    from kubewire.lab.lookup import lab_name
    from kubewire.providers.registry import recorded_provider

    if there := one_away(lab, host):
        from kubewire.hosts import tunnel

        path = tunnel.kubeconfig(there)
    else:
        name = lab_name(lab)
        path = recorded_provider(name).kubeconfig(name)
    if form == "json":
        from kubewire.hosts import credentials

        console.document(credentials.to_json(credentials.read_credentials(path)))
    else:
        console.document(f"{path}\n")

"""`kubewire kubeconfig`."""

from __future__ import annotations

from kubewire.cli import options


def kubeconfig(lab: options.RunningLab, host: options.OnHost = "", form: options.Form = "text") -> None:
    """Print the path of the lab's kubeconfig, for kubectl on this machine; as JSON its credentials.

    **Example**

    `export KUBECONFIG="$(kubewire kubeconfig iptables)"; kubectl get pods -o wide`
    """
    from kubewire.app.placement import resolve
    from kubewire.core import console

    path = resolve(lab, host).kubeconfig()
    if form == "json":
        from kubewire.hosts import credentials

        console.document(credentials.to_json(credentials.read_credentials(path)))
    else:
        console.document(f"{path}\n")

"""A node's KubeProxyConfiguration from the lab."""

from __future__ import annotations

from typing import Any

from kubewire.lab.schema import KubeProxy, Lab, Mode, kubernetes_minor

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"


def kube_proxy_config(
    lab: Lab, node_name: str, *, kubeconfig: str, conntrack_tunable: bool = False
) -> dict[str, Any]:
    """The KubeProxyConfiguration v1alpha1 of one node; `kubeconfig` is a path as kube-proxy sees it.

    If conntrack's sysctls can't be set (nf_conntrack_max is read-only in a child network namespace),
    kube-proxy is configured not to set them, as in kind. Healthz and metrics use kubeadm's addresses.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "hostnameOverride": node_name,
        "clientConnection": {"kubeconfig": kubeconfig},
        "clusterCIDR": ",".join(map(str, lab.pod_subnet)),
        "healthzBindAddress": "0.0.0.0:10256" if lab.pod_subnet[0].version == 4 else "[::]:10256",
        "metricsBindAddress": "127.0.0.1:10249" if lab.pod_subnet[0].version == 4 else "[::1]:10249",
        **({} if conntrack_tunable else {"conntrack": _conntrack_unchanged()}),
        **mode_options(lab),
    }


def mode_options(lab: Lab) -> dict[str, Any]:
    """The part of a KubeProxyConfiguration that depends on the lab's mode and kubeProxy options.

    Mode nftables reads its own section, with the same keys, not that of iptables. Mode ipvs reads the
    masquerading options from the iptables section (upstream cmd/kube-proxy/app/server_linux.go).
    """
    proxy = lab.kube_proxy
    masquerade = {"masqueradeAll": proxy.masquerade_all, "masqueradeBit": proxy.masquerade_bit}
    periods = {"syncPeriod": proxy.sync_period, "minSyncPeriod": proxy.min_sync_period}
    own = {key: getattr(proxy, name) for name, key, mode in proxy.of_one_mode() if mode == lab.mode}
    written = {key: value for key, value in own.items() if value is not None}
    sections: dict[Mode, dict[str, Any]] = {
        Mode.IPTABLES: {"iptables": {**masquerade, **written, **periods}},
        Mode.NFTABLES: {"nftables": {**masquerade, **written, **periods}},
        Mode.IPVS: {"iptables": masquerade, "ipvs": {**written, **periods}},
    }
    return {
        "mode": lab.mode.value,
        **sections[lab.mode],
        "detectLocalMode": proxy.detect_local_mode,
        **_local_detection(proxy),
        **({"nodePortAddresses": list(proxy.node_port_addresses)} if proxy.node_port_addresses else {}),
        **({"featureGates": gates} if (gates := feature_gates(lab)) else {}),
    }


def feature_gates(lab: Lab) -> dict[str, bool]:
    """The lab's feature gates, and the one that mode nftables needs before Kubernetes 1.31 (KEP-3866)."""
    needed = {"NFTablesProxyMode": True} if lab.mode is Mode.NFTABLES and kubernetes_minor(lab) < 31 else {}
    return {**needed, **lab.kube_proxy.feature_gates}


def _local_detection(proxy: KubeProxy) -> dict[str, Any]:
    match proxy.detect_local_mode:
        case "BridgeInterface":
            return {"detectLocal": {"bridgeInterface": proxy.bridge_interface}}
        case "InterfaceNamePrefix":
            return {"detectLocal": {"interfaceNamePrefix": proxy.interface_name_prefix}}
        case _:
            return {}


def _conntrack_unchanged() -> dict[str, Any]:
    return {"maxPerCore": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"}

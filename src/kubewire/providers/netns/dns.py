"""The cluster's DNS: the kube-dns Service and its CoreDNS, as kubeadm creates them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
NAMESPACE = "kube-system"
IMAGE = "registry.k8s.io/coredns/coredns"
# Without kubeadm's `forward` and `loop`: a lab has no external name server to forward to.
COREFILE = """\
.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes %s in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    cache 30
    reload
    loadbalance
}
"""


def coredns_manifests(dns_ip: str, *, replicas: int = 2, domain: str = "cluster.local") -> list[Json]:
    """The objects for cluster DNS at `dns_ip`, in order.

    Source: kubeadm, phases/addons/dns/manifests.go.
    """
    labels = {"k8s-app": "kube-dns"}
    return [
        {**_head("v1", "ServiceAccount", "coredns")},
        {
            **_head("rbac.authorization.k8s.io/v1", "ClusterRole", "system:coredns", namespace=None),
            "rules": [
                _rule("", "endpoints", "services", "pods", "namespaces"),
                _rule("discovery.k8s.io", "endpointslices"),
            ],
        },
        {
            **_head("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "system:coredns", namespace=None),
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:coredns",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": NAMESPACE}],
        },
        {**_head("v1", "ConfigMap", "coredns"), "data": {"Corefile": COREFILE % domain}},
        {
            **_head(
                "v1",
                "Service",
                "kube-dns",
                labels={**labels, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
            ),
            "spec": {
                "clusterIP": dns_ip,
                "ipFamilyPolicy": "SingleStack",
                "selector": labels,
                "ports": [
                    _port("dns", 53, "UDP"),
                    _port("dns-tcp", 53, "TCP"),
                    _port("metrics", 9153, "TCP"),
                ],
            },
        },
        {
            **_head("apps/v1", "Deployment", "coredns", labels=labels),
            "spec": {
                "replicas": replicas,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _pod_spec()},
            },
        },
    ]


def _pod_spec() -> Json:
    return {
        "priorityClassName": "system-cluster-critical",
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ],
        "containers": [
            {
                "name": "coredns",
                "image": IMAGE,
                "args": ["-conf", "/etc/coredns/Corefile"],
                "ports": [
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
                    {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
                ],
                "livenessProbe": {
                    "httpGet": {"path": "/health", "port": 8080},
                    "initialDelaySeconds": 60,
                    "timeoutSeconds": 5,
                    "failureThreshold": 5,
                },
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}},
                "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": True}],
            }
        ],
        "volumes": [
            {
                "name": "config-volume",
                "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]},
            }
        ],
    }


def _head(
    api_version: str,
    kind: str,
    name: str,
    *,
    namespace: str | None = NAMESPACE,
    labels: dict[str, str] | None = None,
) -> Json:
    metadata: Json = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _rule(group: str, *resources: str) -> Json:
    return {"apiGroups": [group], "resources": list(resources), "verbs": ["list", "watch"]}


def _port(name: str, port: int, protocol: str) -> Json:
    return {"name": name, "port": port, "protocol": protocol, "targetPort": port}

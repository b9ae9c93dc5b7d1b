"""The control plane with kubeadm's layout, reduced for a lab: its files and its components."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kubewire.cluster.kubeconfig import KeyPair, kubeconfig
from kubewire.dataplane.core.features import Version, has
from kubewire.lab.schema import Lab
from kubewire.providers.netns.certificates import Authority, signing_key
from kubewire.providers.netns.plan import RUN, Check, Component, File, component_environment
from kubewire.providers.netns.topology import Node, service_ip, url_host

PKI = f"{RUN}/pki"
KUBECONFIGS = f"{RUN}/kubeconfig"
KUBE_PROXY_CONFIG = "/run/kube-proxy/config.yaml"
API_PORT = 6443
HEALTH_PORT = 10256
SERVICE_CIDR = "/apis/networking.k8s.io/v1/servicecidrs/kubernetes"
_QUICK_START = {"GOGC": "200"}  # the apiserver's start is mostly garbage collection; costs 40 MiB


class Binaries(Protocol):
    """The executables of one Kubernetes version."""

    @property
    def control_plane_version(self) -> str: ...
    @property
    def etcd(self) -> Path: ...
    @property
    def kube_apiserver(self) -> Path: ...
    @property
    def kube_controller_manager(self) -> Path: ...
    @property
    def kube_scheduler(self) -> Path: ...
    @property
    def kube_proxy(self) -> Path: ...


@dataclass(frozen=True)
class Credentials:
    """All certificates of a lab. `admin` is for the host's kubeconfig."""

    authority: str
    admin: KeyPair
    api_server: KeyPair
    etcd: KeyPair
    kubelet: KeyPair
    kubelet_client: KeyPair
    clients: dict[str, KeyPair]
    service_accounts: str


def issue_credentials(lab: Lab, nodes: Sequence[Node]) -> Credentials:
    """Certificates with the identities that the API's bootstrap roles use."""
    authority = Authority(f"kubewire {lab.name}")
    control_planes = [node for node in nodes if node.role == "control-plane"]
    ips = [ip for node in control_planes for ip in node.ips]
    service_ips = [str(subnet[1]) for subnet in lab.service_subnet]
    service_names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    local = ["localhost", "127.0.0.1", "::1"]
    every_node = [entry for node in nodes for entry in (node.name, *node.ips)]
    masters = "system:masters"
    return Credentials(
        authority=authority.certificate,
        admin=authority.issue("kubernetes-admin", organization=masters),
        api_server=authority.issue(
            "kube-apiserver",
            hosts=[*service_names, "kubernetes.default.svc.cluster.local", *local, *service_ips, *ips],
            server=True,
        ),
        etcd=authority.issue("etcd", hosts=[*local, *ips], server=True),
        kubelet=authority.issue("kubewire:kubelet", hosts=every_node, server=True),
        kubelet_client=authority.issue("kube-apiserver-kubelet-client", organization=masters),
        clients={
            "kube-controller-manager": authority.issue("system:kube-controller-manager"),
            "kube-scheduler": authority.issue("system:kube-scheduler"),
            "kube-proxy": authority.issue("system:kube-proxy"),
            "agent": authority.issue("kubewire:agent", organization=masters),
        },
        service_accounts=signing_key(),
    )


def api_url(node: Node) -> str:
    return f"https://{url_host(node.ips[0])}:{API_PORT}"


def files(
    credentials: Credentials, nodes: Sequence[Node], kube_proxy_configs: dict[str, dict[str, Any]]
) -> tuple[File, ...]:
    """All files that the components read, certificates first."""
    server = api_url(nodes[0])
    pki = {
        "ca.crt": credentials.authority,
        "sa.key": credentials.service_accounts,
        "admin.pem": credentials.admin.certificate + credentials.admin.key,
    }
    for name in ("api_server", "etcd", "kubelet", "kubelet_client"):
        pair: KeyPair = getattr(credentials, name)
        pki |= {f"{name}.crt": pair.certificate, f"{name}.key": pair.key}
    return (
        *(File(f"{PKI}/{name}", content) for name, content in pki.items()),
        *(
            File(f"{KUBECONFIGS}/{name}", kubeconfig(name, server, credentials.authority, client))
            for name, client in credentials.clients.items()
        ),
        *(
            File(KUBE_PROXY_CONFIG, json.dumps(config, indent=2) + "\n", mode=0o644, node=node)
            for node, config in kube_proxy_configs.items()
        ),
    )


def components(lab: Lab, nodes: Sequence[Node], binaries: Binaries) -> tuple[Component, ...]:
    """etcd, an apiserver on each control plane, one controller-manager and scheduler, kube-proxies."""
    first = nodes[0]
    env = component_environment()
    ready = _api_check(first, "/readyz")
    return (
        Component("etcd", _etcd(first, binaries, shared=lab.nodes.control_planes > 1), first.name, env),
        *(
            Component(
                f"kube-apiserver@{node.name}",
                _api_server(lab, node, first, binaries),
                node.name,
                _QUICK_START | env,
                ready=_api_check(node, "/readyz"),
            )
            for node in nodes
            if node.role == "control-plane"
        ),
        Component(
            "kube-controller-manager", _controller_manager(lab, binaries), first.name, env, after=(ready,)
        ),
        Component(
            "kube-scheduler",
            (
                str(binaries.kube_scheduler),
                f"--kubeconfig={KUBECONFIGS}/kube-scheduler",
                "--leader-elect=false",
                "--profiling=false",
            ),
            first.name,
            env,
            after=(ready,),
        ),
        *(_kube_proxy(node, first, binaries, env) for node in nodes),
    )


def _api_check(node: Node, path: str) -> Check:
    return Check(f"{api_url(node)}{path}", authority=f"{PKI}/ca.crt", client=f"{PKI}/admin.pem")


def _etcd(node: Node, binaries: Binaries, *, shared: bool) -> tuple[str, ...]:
    """etcd for the apiserver of its node, or with `shared`, over TLS, also for those of other nodes."""
    hosts = ["127.0.0.1", *([node.ips[0]] if shared else [])]
    urls = ",".join(_etcd_url(host, shared=shared) for host in hosts)
    peer = "http://127.0.0.1:2380"
    tls = (
        f"--cert-file={PKI}/etcd.crt",
        f"--key-file={PKI}/etcd.key",
        f"--trusted-ca-file={PKI}/ca.crt",
        "--client-cert-auth",
    )
    return (
        str(binaries.etcd),
        f"--name={node.name}",
        f"--data-dir={RUN}/etcd",
        f"--listen-client-urls={urls}",
        f"--advertise-client-urls={urls}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={node.name}={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        *(tls if shared else ()),
    )


def _etcd_url(host: str, *, shared: bool) -> str:
    return f"{'https' if shared else 'http'}://{url_host(host)}:2379"


def _api_server(lab: Lab, node: Node, etcd: Node, binaries: Binaries) -> tuple[str, ...]:
    shared = lab.nodes.control_planes > 1
    etcd_host = "127.0.0.1" if node == etcd else etcd.ips[0]
    etcd_tls = (
        f"--etcd-cafile={PKI}/ca.crt",
        f"--etcd-certfile={PKI}/etcd.crt",
        f"--etcd-keyfile={PKI}/etcd.key",
    )
    return (
        str(binaries.kube_apiserver),
        f"--advertise-address={node.ips[0]}",
        f"--bind-address={'::' if ':' in node.ips[0] else '0.0.0.0'}",  # noqa: S104 - the node's own namespace
        f"--secure-port={API_PORT}",
        f"--etcd-servers={_etcd_url(etcd_host, shared=shared)}",
        *(etcd_tls if shared else ()),
        f"--service-cluster-ip-range={_joined(lab.service_subnet)}",
        f"--tls-cert-file={PKI}/api_server.crt",
        f"--tls-private-key-file={PKI}/api_server.key",
        f"--client-ca-file={PKI}/ca.crt",
        f"--service-account-key-file={PKI}/sa.key",
        f"--service-account-signing-key-file={PKI}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        f"--kubelet-client-certificate={PKI}/kubelet_client.crt",
        f"--kubelet-client-key={PKI}/kubelet_client.key",
        "--kubelet-preferred-address-types=InternalIP,Hostname",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
    )


def _controller_manager(lab: Lab, binaries: Binaries) -> tuple[str, ...]:
    return (
        str(binaries.kube_controller_manager),
        f"--kubeconfig={KUBECONFIGS}/kube-controller-manager",
        "--leader-elect=false",
        "--profiling=false",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={_joined(lab.pod_subnet)}",
        f"--service-cluster-ip-range={_joined(lab.service_subnet)}",
        f"--service-account-private-key-file={PKI}/sa.key",
        f"--root-ca-file={PKI}/ca.crt",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    )


def _kube_proxy(node: Node, first: Node, binaries: Binaries, env: dict[str, str]) -> Component:
    """Starts once the default ServiceCIDR exists: in nftables mode it uses the ServiceCIDRs of its first sync
    until the next full one, up to an hour later (pkg/proxy/nftables/proxier.go, OnServiceCIDRsChanged).
    """
    has_networks = has(Version.parse(binaries.control_plane_version), "service-cidrs")
    networks = (SERVICE_CIDR,) if has_networks else ()
    run = (str(binaries.kube_proxy), f"--config={KUBE_PROXY_CONFIG}")
    return Component(
        f"kube-proxy@{node.name}",
        run,
        node.name,
        env,
        after=tuple(_api_check(first, path) for path in (f"/api/v1/nodes/{node.name}", *networks)),
        ready=Check(f"http://{url_host(node.ips[0])}:{HEALTH_PORT}/healthz"),
        cleanup=(*run, "--cleanup"),
    )


def _joined(subnets: Sequence[object]) -> str:
    return ",".join(str(subnet) for subnet in subnets)


def cluster_dns_ip(lab: Lab) -> str:
    return service_ip(lab, 10)

"""A lab as other tools read it: its effective YAML, kind's cluster configuration, an Ansible inventory.

Everything is plain data dumped as YAML, so no user text ever goes through a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from kubewire.lab.kubeproxy import API_VERSION, KIND, mode_options
from kubewire.lab.schema import (
    DEFAULT_SUBNETS,
    IpFamily,
    KubeProxy,
    Lab,
    Mode,
    control_planes_run_pods,
    node_names,
)
from kubewire.lab.values import NEWEST_MINOR

KIND_IMAGES = {29: 2, 30: 0, 31: 0, 32: 2, 33: 1, 34: 0, 35: 0, 36: 1, 37: 0}
"""Kubernetes minor → a patch that kind's project published a kindest/node image of."""


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, never an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def dump_yaml(data: Mapping[str, Any]) -> str:
    """Plain data as YAML in the order given."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def lab_data(lab: Lab) -> dict[str, Any]:
    """The effective definition as plain data with camelCase keys; what is unset (None) is left out."""
    return lab.model_dump(mode="json", by_alias=True, exclude_none=True)


def render_lab(lab: Lab) -> str:
    """The effective definition, every default filled in; loading it gives an equal Lab."""
    return dump_yaml(lab_data(lab))


def render_kind(lab: Lab) -> str:
    """kind's Cluster (kind.x-k8s.io/v1alpha4); what equals kind's own defaults is left out."""
    patches = _kube_proxy_patch(lab)
    networking = _kind_networking(lab)
    return dump_yaml(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "name": lab.name,
            **({"networking": networking} if networking else {}),
            **({"kubeadmConfigPatches": [dump_yaml(patches)]} if patches else {}),
            "nodes": [
                *(_kind_node(lab, "control-plane") for _ in range(lab.nodes.control_planes)),
                *(_kind_node(lab, "worker") for _ in range(lab.nodes.workers)),
            ],
        }
    )


def render_inventory(lab: Lab) -> str:
    """An Ansible inventory: the groups nodes, control_planes, workers and lab_NAME (`-` becomes `_`)."""
    names = node_names(lab)
    control_planes, workers = names[: lab.nodes.control_planes], names[lab.nodes.control_planes :]
    return dump_yaml(
        {
            "all": {
                "children": {
                    "nodes": {"children": {"control_planes": {}, "workers": {}}},
                    "control_planes": {"hosts": {name: {} for name in control_planes}},
                    "workers": {"hosts": {name: {} for name in workers}},
                    f"lab_{lab.name.replace('-', '_')}": {
                        "hosts": {name: {} for name in names},
                        "vars": {"kubewire_lab": lab.name},
                    },
                }
            }
        }
    )


def _kind_networking(lab: Lab) -> dict[str, Any]:
    pods, services = DEFAULT_SUBNETS[lab.ip_family]
    options = {
        "kubeProxyMode": (lab.mode.value, lab.mode is not Mode.IPTABLES),
        "ipFamily": (lab.ip_family.value, lab.ip_family is not IpFamily.IPV4),
        "podSubnet": (",".join(map(str, lab.pod_subnet)), lab.pod_subnet != pods),
        "serviceSubnet": (",".join(map(str, lab.service_subnet)), lab.service_subnet != services),
        "apiServerPort": (lab.api_server_port, lab.api_server_port != 0),
    }
    return {key: value for key, (value, is_own) in options.items() if is_own}


def _kind_node(lab: Lab, role: str) -> dict[str, Any]:
    minor, *patch = lab.kubernetes.split(".")[1:]
    is_newest = int(minor) == NEWEST_MINOR and not patch
    version = f"1.{minor}.{patch[0] if patch else KIND_IMAGES.get(int(minor), 0)}"
    taintless: dict[str, Any] = {"nodeRegistration": {"taints": []}}
    untainted = role == "control-plane" and control_planes_run_pods(lab) and lab.nodes.control_planes > 1
    return {
        "role": role,
        **({} if is_newest else {"image": f"kindest/node:v{version}"}),
        **(
            {
                "kubeadmConfigPatches": [
                    dump_yaml({"kind": kind, **taintless})
                    for kind in ("InitConfiguration", "JoinConfiguration")
                ]
            }
            if untainted
            else {}
        ),
    }


def _kube_proxy_patch(lab: Lab) -> dict[str, Any]:
    """What the lab's kubeProxy options change in the KubeProxyConfiguration of kind; {} for nothing."""
    plain = lab.model_copy(update={"kube_proxy": KubeProxy(), "kubernetes": f"1.{NEWEST_MINOR}"})
    changed = _difference(mode_options(lab), mode_options(plain))
    return {"kind": KIND, "apiVersion": API_VERSION, **changed} if changed else {}


def _difference(wanted: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(default.get(key), dict):
            if inner := _difference(value, default[key]):
                changed[key] = inner
        elif key not in default or value != default[key]:
            changed[key] = value
    return changed

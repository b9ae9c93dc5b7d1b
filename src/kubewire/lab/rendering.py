"""A lab for other tools: its effective YAML, an Ansible inventory.

Everything is dumped as YAML, so no user text goes through a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from kubewire.lab.schema import Lab, node_names


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def dump_yaml(data: Mapping[str, Any]) -> str:
    """Plain data as YAML in the order given."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def lab_data(lab: Lab) -> dict[str, Any]:
    """The effective definition as plain data with camelCase keys; unset (None) values are left out."""
    return lab.model_dump(mode="json", by_alias=True, exclude_none=True)


def render_lab(lab: Lab) -> str:
    """The effective definition, every default filled in; loading it gives an equal Lab."""
    return dump_yaml(lab_data(lab))


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

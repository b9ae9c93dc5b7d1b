"""The nodes of every running lab; see DOCUMENTATION."""

from __future__ import annotations

from typing import Any

from ansible.plugins.inventory import BaseInventoryPlugin

from kubewire.app.node_inventory import node_hosts

DOCUMENTATION = """
name: labs
short_description: The nodes of every running kubewire lab
description:
  - Reads the labs' records on this machine and asks their provider for the nodes.
  - Groups are C(nodes), C(control_planes), C(workers), and C(lab_NAME) with C(_) for each C(-) of the name.
author: The kubewire authors
options:
  plugin:
    description: Must be C(kubewire.lab.labs); the file's name ends in C(.kubewire.yml).
    required: true
    choices: [kubewire.lab.labs]
"""

EXAMPLES = """
plugin: kubewire.lab.labs
"""


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc]
    NAME = "kubewire.lab.labs"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith((".kubewire.yml", ".kubewire.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        for group in ("nodes", "control_planes", "workers"):
            inventory.add_group(group)
        for host in node_hosts():
            inventory.add_host(host.name)
            for group in host.groups:
                inventory.add_group(group)
                inventory.add_child(group, host.name)
            for key, value in host.variables.items():
                inventory.set_variable(host.name, key, value)

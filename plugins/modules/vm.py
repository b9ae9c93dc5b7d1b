"""Documentation of the action kubewire.lab.vm, which does the work on the controller."""

DOCUMENTATION = """
module: vm
short_description: Have a VM that carries a lab
description:
  - Starts a small VM with Debian's kernel, which has ip_vs, unless the lab's runs already.
  - It is an SSH host of the inventory that RV(inventory) names; P(kubewire.lab.labs) knows its nodes later.
author: The kubewire authors
options:
  lab:
    description: The lab's name, or the path of its file.
    type: str
    required: true
  overrides:
    description: Values over those of the lab's file, by dotted key.
    type: dict
    default: {}
"""

EXAMPLES = """
- name: Start the lab's VM
  kubewire.lab.vm:
    lab: ipvs
"""

RETURN = """
inventory:
  description: The inventory that has the VM.
  type: str
  returned: success
host:
  description: The VM's name in it.
  type: str
  returned: success
kubernetes:
  description: The Kubernetes version whose binaries the VM has.
  type: str
  returned: success
"""

"""Documentation only; plugins/action/step.py does the work."""

DOCUMENTATION = """
module: vm
short_description: Have a VM that carries a lab
description:
  - Starts a small VM with Debian's kernel, which has ip_vs, unless the lab's runs already.
  - It is an SSH host of the inventory that RV(inventory) names; P(kubewire.lab.labs) knows its nodes later.
extends_documentation_fragment: [kubewire.lab.lab, kubewire.lab.lab.overrides]
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

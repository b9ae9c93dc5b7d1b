"""Documentation only; plugins/action/step.py does the work."""

DOCUMENTATION = """
module: vm
short_description: Start a VM for a lab
description:
  - Starts a small VM with Debian's kernel, which has ip_vs, unless the lab's VM runs already.
  - The VM is an SSH host in the inventory RV(inventory); P(kubewire.lab.labs) lists its nodes later.
extends_documentation_fragment: [kubewire.lab.lab, kubewire.lab.lab.overrides]
"""

EXAMPLES = """
- name: Start the lab's VM
  kubewire.lab.vm:
    lab: ipvs
"""

RETURN = """
inventory:
  description: The inventory with the VM.
  type: str
  returned: success
host:
  description: The VM's name in the inventory.
  type: str
  returned: success
kubernetes:
  description: The Kubernetes version whose binaries the VM has.
  type: str
  returned: success
"""

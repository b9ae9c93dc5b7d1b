"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster
short_description: Create or reconcile a lab's cluster
description:
  - Fetches or builds the Kubernetes binaries if they aren't cached, then creates what is missing.
  - A running cluster that matches the definition is not changed.
extends_documentation_fragment: [kubewire.lab.lab, kubewire.lab.lab.overrides, kubewire.lab.lab.provider]
options:
  recreate:
    description: Remove and recreate an existing lab.
    type: bool
    default: false
  keep:
    description: On kind, keep the containers of a failed creation.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Create or reconcile a lab's cluster
  kubewire.lab.cluster:
    lab: iptables
"""

RETURN = r"""
changes:
  description: What was created or repaired, a line each.
  type: list
  elements: str
  returned: always
provider:
  description: The provider of the nodes.
  type: str
  returned: always
why:
  description: Why it was chosen.
  type: str
  returned: always
anew:
  description: Whether the cluster is new, without the lab's objects.
  type: bool
  returned: always
kubernetes:
  description: The exact version that runs.
  type: str
  returned: outside check mode
"""

"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster
short_description: Make or reconcile a lab's cluster
description:
  - Fetches or builds the Kubernetes binaries if they aren't cached, then makes what is missing.
  - A running cluster that holds what the definition says is left alone.
extends_documentation_fragment: [kubewire.lab.lab, kubewire.lab.lab.overrides, kubewire.lab.lab.provider]
options:
  recreate:
    description: Remove a lab that exists and make it afresh.
    type: bool
    default: false
  keep:
    description: On kind, keep what a failed creation made.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Make or reconcile a lab's cluster
  kubewire.lab.cluster:
    lab: iptables
"""

RETURN = r"""
changes:
  description: What was made or mended, a line each.
  type: list
  elements: str
  returned: always
provider:
  description: What makes the nodes.
  type: str
  returned: always
why:
  description: Why it was chosen.
  type: str
  returned: always
anew:
  description: Whether the cluster is a new one, with nothing of the lab in it yet.
  type: bool
  returned: always
kubernetes:
  description: The exact version that runs.
  type: str
  returned: outside check mode
"""

"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload
short_description: Apply a lab's objects
description:
  - Applies httpbin and the lab's manifests by server-side apply and reports each drift.
  - Removes objects of former definitions of this lab. Waits until everything is rolled out.
extends_documentation_fragment: kubewire.lab.lab
options:
  timeout:
    description: Seconds until the roll-out must be done.
    type: int
    default: 90
  overrides:
    description:
      - In check mode, values that override the lab's file, as the cluster step would have recorded them.
      - Without them, and always outside check mode, the recorded definition is used.
    type: dict
  anew:
    description: In check mode, whether the cluster would be new, without the lab's objects.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Apply a lab's objects
  kubewire.lab.workload:
    lab: iptables
"""

RETURN = r"""
waited:
  description: Whether it had to wait for pods or endpoints.
  type: bool
  returned: outside check mode
changes:
  description: What was created, changed back or removed, a line each.
  type: list
  elements: str
  returned: always
"""

"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload
short_description: Bring a lab's objects to its definition
description:
  - Applies httpbin and the lab's manifests by server-side apply and names each drift it finds.
  - Removes what a former definition of this lab had applied. Waits until everything is rolled out.
extends_documentation_fragment: kubewire.lab.lab
options:
  timeout:
    description: Seconds until the roll-out must be done.
    type: int
    default: 90
  overrides:
    description:
      - In check mode, values over those of the lab's file, as the cluster would have recorded them by now.
      - The recorded definition counts where they are left out; outside check mode it always does.
    type: dict
  anew:
    description: In check mode, whether the cluster would be a new one, with nothing of the lab in it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Bring a lab's objects to its definition
  kubewire.lab.workload:
    lab: iptables
"""

RETURN = r"""
waited:
  description: Whether pods or endpoints were still to come.
  type: bool
  returned: outside check mode
changes:
  description: What was created, changed back or removed, a line each.
  type: list
  elements: str
  returned: always
"""

"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Prove a lab's dataplane and its traffic
description:
  - Compares every node's rules with the live API objects, then sends real traffic.
  - Writes nothing to the cluster. Skipped in check mode.
extends_documentation_fragment: kubewire.lab.lab
options:
  report:
    description: A file that gets the JSON report.
    type: path
"""

EXAMPLES = r"""
- name: Prove a lab's dataplane and its traffic
  kubewire.lab.verify:
    lab: iptables
"""

RETURN = r"""
report:
  description: How many checks passed, failed and were skipped, by these words; the whole is in O(report).
  type: dict
  returned: always
msg:
  description: The report as text.
  type: str
  returned: always
"""

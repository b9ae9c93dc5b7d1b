"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Verify a lab's dataplane and its traffic
description:
  - Compares every node's rules with the live API objects, then sends real traffic.
  - Writes nothing to the cluster. Skipped in check mode.
extends_documentation_fragment: kubewire.lab.lab
options:
  report:
    description: A file to write the JSON report to.
    type: path
"""

EXAMPLES = r"""
- name: Verify a lab's dataplane and its traffic
  kubewire.lab.verify:
    lab: iptables
"""

RETURN = r"""
report:
  description: How many checks C(passed), C(failed) and were C(skipped); the complete report is in O(report).
  type: dict
  returned: always
msg:
  description: The report as text.
  type: str
  returned: always
"""

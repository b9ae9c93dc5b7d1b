"""Documentation of the action of the same name; it has no code of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Prove a lab's dataplane and its traffic
description:
  - Compares every node's rules with the live API objects, then sends real traffic.
  - Writes nothing to the cluster. Skipped in check mode.
options:
  lab:
    description: The lab's name, or the path of its file.
    type: str
    required: true
  report:
    description: A file that gets the JSON report.
    type: path
author: The kubewire authors
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

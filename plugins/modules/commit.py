"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: commit
short_description: Keep a lab after the run that creates it
description:
  - Before this, a lab is removed when the run that creates it ends.
  - The roles P(kubewire.lab.workload#role) and P(kubewire.lab.verify#role) end with it.
extends_documentation_fragment: kubewire.lab.lab
"""

EXAMPLES = r"""
- name: Keep a lab after the run that creates it
  kubewire.lab.commit:
    lab: iptables
"""

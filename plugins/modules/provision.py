"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: provision
short_description: Have kubewire on a lab host
description:
  - Installs kubewire's locked dependencies and kubewire itself in the cache of the user there, once for each
    version; the host's own package index is asked first, then this machine sends the wheels.
  - Keeps here, beside the lab's name, how the host is reached. Does nothing on this machine itself.
options:
  lab:
    description: The lab's name, or the path of its file; without one nothing is kept here.
    type: str
author: The kubewire authors
"""

EXAMPLES = r"""
- name: Have kubewire on the host
  kubewire.lab.provision:
    lab: iptables
"""

RETURN = r"""
changes:
  description: What was installed, a line each.
  type: list
  elements: str
  returned: always
ansible_facts:
  description: C(kubewire_python), the Python there that has kubewire.
  type: dict
  returned: for another host
place:
  description: How the host is reached from here by SSH, and where kubewire is on it.
  type: dict
  returned: for another host
"""

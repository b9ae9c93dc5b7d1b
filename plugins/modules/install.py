"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: install
short_description: Install Debian packages on the play's host
description:
  - Installs them by apt-get, without recommended ones; the package index is brought up to date if it must be.
  - Nothing but whether it worked is taken from the host.
options:
  packages:
    description: The packages' names, as M(kubewire.lab.packages) tells them.
    type: list
    elements: str
    required: true
author: The kubewire authors
"""

EXAMPLES = r"""
- name: Install them
  kubewire.lab.install:
    packages: "{{ lab_host_packages.missing }}"
  become: true
"""

RETURN = r"""
changes:
  description: What was installed, a line each.
  type: list
  elements: str
  returned: always
"""

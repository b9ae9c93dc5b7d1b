"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: install
short_description: Install Debian packages on the play's host
description:
  - Installs them with apt-get, without recommended ones; updates the package index if needed.
  - Uses only the exit code of the host's command.
options:
  packages:
    description: The packages' names, as returned by M(kubewire.lab.packages).
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

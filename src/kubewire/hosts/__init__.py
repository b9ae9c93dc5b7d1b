"""Labs on other hosts: any SSH host of an Ansible inventory can run the same labs as this machine.

A lab host needs SSH, a POSIX shell and Python. The playbooks run on this machine (the controller); on the lab
host, a session runs their steps, and the `kubewire` command serves all other commands.
"""

"""The embedded provider: nodes and pods as Linux namespaces, the control plane real."""

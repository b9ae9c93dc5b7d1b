"""The embedded provider: nodes and pods as Linux namespaces, with a real control plane."""

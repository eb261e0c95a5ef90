"""The lab: machines in namespaces on this machine."""

"""The Ceph service plugin."""

"""The OVN service plugin."""

"""The LXD service plugin."""

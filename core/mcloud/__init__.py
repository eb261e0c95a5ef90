"""Turns a few machines into a private cloud: the public API, for plugins."""

"""The command line; screen.py is the only place that prints."""

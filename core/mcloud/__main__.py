"""`python -m mcloud`."""

from mcloud.cli.main import main

main()

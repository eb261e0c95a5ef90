"""Discovery by an address that is given."""

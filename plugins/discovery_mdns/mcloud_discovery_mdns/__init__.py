"""Discovery by DNS-SD over multicast DNS."""

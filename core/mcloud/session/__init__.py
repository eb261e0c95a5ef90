"""The two halves of a session, and what they share."""

"""REMEMBERS: the append-only log of what was said about each connection, and what it means."""

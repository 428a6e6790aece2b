"""Deliveries that wait to be read, and when each dialect was last heard."""

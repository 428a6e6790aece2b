"""What is true of each connection now."""

"""Everything that speaks OFAuth: signatures in, bodies in, list rows in."""

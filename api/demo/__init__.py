"""The demonstration: the real service, a fake OFAuth, and a story of three creators."""

"""The demonstration: the real service and the fake OFAuth, and a scripted day of three creators."""

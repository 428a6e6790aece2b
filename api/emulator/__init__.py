"""A fake OFAuth for tests, demonstrations and local work: it signs, delivers and retries."""

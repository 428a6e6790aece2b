"""Answers: reads the log, never the provider."""

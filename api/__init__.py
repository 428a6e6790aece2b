"""Talks: the HTTP API, the commands, the console and the emulator."""

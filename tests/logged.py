"""What was logged so far: lines wait a moment for others before they are written."""

import io
import logging


def logged(stream: io.StringIO) -> str:
    """Give everything that was logged to a stream, what still waits included."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    return stream.getvalue()

"""What can go wrong between an answer and its reader: it waits, breaks off, or never comes."""

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from api.emulator.calls import Answer, Ending

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ANSWER: Final = "emulator.answer"
"""Where in the WSGI environment the answer is kept that goes out."""
_UNDATED: Final = "X-Emulator-Undated"
"""A header that is taken off again, together with the server's own `Date`."""


class Wire:
    """Lets an application's answers wait, break off or get lost as they say."""

    def __init__(self, app: "WSGIApplication", sleep: Callable[[float], object]) -> None:
        """Stand in front of an application; `sleep` takes seconds."""
        self._app = app
        self._sleep = sleep

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer.

        Raises:
            ConnectionResetError: the answer is lost; the server closes the connection.
        """
        started: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started[:] = [status, headers, exc_info]
            return None

        body = b"".join(self._app(environ, start))
        status, headers, exc_info = started
        answer: Answer | None = environ.get(ANSWER)
        if answer is not None:
            if answer.wait:
                self._sleep(answer.wait)
            if answer.ending is Ending.LOST:
                raise ConnectionResetError
            if "Date" not in answer.headers:
                headers.append((_UNDATED, "1"))
            if answer.ending is Ending.CUT:
                body = body[: len(body) // 2]
        start_response(status, headers, exc_info)
        return [body]


class _Task(WSGITask):  # type: ignore[misc]
    """Sends an answer, without a `Date` when it shall have none."""

    logger = logging.getLogger(f"{__name__}.task")

    def build_response_header(self) -> bytes:
        """Write the head of the answer."""
        undated = (_UNDATED, "1") in self.response_headers
        if not undated:
            return bytes(super().build_response_header())
        self.response_headers.remove((_UNDATED, "1"))
        head = bytes(super().build_response_header())
        return b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Date:"))


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection of the emulator's server."""

    task_class = _Task

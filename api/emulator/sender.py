"""Sends one attempt of a delivery over HTTP."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

import requests

ANSWER_SECONDS: Final = 10.0
"""How long a receiver has to answer 2xx."""
_USER_AGENT: Final = "OFAuth-Emulator/1"
_LOG = logging.getLogger(__name__)

Send = Callable[[bytes, Mapping[str, str]], bool]
"""Posts a body with signature headers, and tells whether it was acknowledged. Never raises."""


class WebhookSender:
    """Posts to one webhook address, on one kept-alive connection per thread."""

    def __init__(self, url: str, *, timeout: float = ANSWER_SECONDS) -> None:
        """Prepare to post to `url`; `timeout` in seconds."""
        self._url = url
        self._timeout = timeout
        self._local = threading.local()

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Post once; True for an answer of 2xx in time."""
        sent = {"Content-Type": "application/json", "User-Agent": _USER_AGENT, **headers}
        try:
            answer = self._session().post(
                self._url,
                data=body,
                headers=sent,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            _LOG.warning("a webhook was not answered: %s", type(error).__name__)
            return False
        if not 200 <= answer.status_code < 300:
            _LOG.warning("a webhook was answered %d", answer.status_code)
        return 200 <= answer.status_code < 300

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # a local stand-in never goes through a proxy
        return session

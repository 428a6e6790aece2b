"""Calls over HTTP that are answered with JSON."""

from collections.abc import Mapping
from typing import Any, Final

import requests

from api.demo.service import StageError

TIMEOUT_S: Final = 60.0
"""How long an answer may take, in seconds."""


def plain_session() -> requests.Session:
    """Make an HTTP session that goes straight to this machine, past proxies and `.netrc`."""
    session = requests.Session()
    session.trust_env = False
    return session


class Caller:
    """Calls one address, with the same headers each time. Not for several threads."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        """Prepare to call what listens at `url`."""
        self._url = url
        self._http = plain_session()
        self._http.headers.update(headers or {})

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> requests.Response:
        """Make a call, and give its answer.

        Raises:
            StageError: it is no 2xx.
        """
        answer = self._http.request(
            method, f"{self._url}{path}", params=query, json=body, timeout=TIMEOUT_S
        )
        if not answer.ok:
            shown = "/".join(path.split("/")[1:3])  # behind it stand ids, which are credentials
            raise StageError(f"/{shown}… answered {answer.status_code}: {answer.text[:300]}")
        return answer

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

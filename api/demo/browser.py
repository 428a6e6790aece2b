"""A creator's browser without a screen: it shows a page, and presses the buttons that are on it."""

from html.parser import HTMLParser

import requests

from api.demo.calling import TIMEOUT_S, plain_session
from api.demo.service import StageError

_Attributes = list[tuple[str, str | None]]


class Browser:
    """Follows redirects and keeps cookies, as browsers do."""

    def __init__(self) -> None:
        """Open an empty window."""
        self._http = plain_session()
        self.url = ""
        """Where it is."""
        self._form = _Form()
        self.text = ""
        """What the page says: its heading, or all of it when it is plain text."""

    def open(self, url: str) -> None:
        """Go to an address.

        Raises:
            StageError: it leads to an error page.
        """
        self._show(self._http.get(url, timeout=TIMEOUT_S))

    def press(self, label: str, **typed: str) -> None:
        """Fill in the page's form and press the button with a label.

        Raises:
            StageError: the page has no such button or field, or it leads to an error page.
        """
        named = self._form.buttons.get(label)
        if named is None or not typed.keys() <= self._form.fields.keys():
            raise StageError(f"The page “{self.text}” has no “{label}”, or not all its fields.")
        name, value = named
        filled = {**self._form.fields, **typed, name: value}
        self._show(self._http.post(self.url, data=filled, timeout=TIMEOUT_S))

    def close(self) -> None:
        """Close the window."""
        self._http.close()

    def _show(self, answer: requests.Response) -> None:
        if not answer.ok:
            raise StageError(f"A page answered {answer.status_code}: {answer.text[:300]}")
        self.url, self._form = answer.url, _Form()
        if answer.headers["Content-Type"].startswith("text/html"):
            self._form.feed(answer.text)
            self.text = self._form.heading
        else:
            self.text = answer.text.strip()


class _Form(HTMLParser):
    """What there is to press and to fill in on a page with one form."""

    def __init__(self) -> None:
        super().__init__()
        self.heading = ""
        self.buttons: dict[str, tuple[str, str]] = {}
        """Name and value by label."""
        self.fields: dict[str, str] = {}
        """Value by name."""
        self._open: str | None = None
        self._named = ("", "")

    def handle_starttag(self, tag: str, attrs: _Attributes) -> None:
        """Take note of a button, a field or the heading."""
        given = {name: value or "" for name, value in attrs}
        self._open = tag
        if tag == "input":
            self.fields[given["name"]] = given.get("value", "")
        elif tag == "button":
            self._named = (given["name"], given["value"])

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self._open = None

    def handle_data(self, data: str) -> None:
        """Read a label or the heading."""
        if self._open == "button":
            self.buttons[data.strip()] = self._named
        elif self._open == "h1":
            self.heading += data.strip()

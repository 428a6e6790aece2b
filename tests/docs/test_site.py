"""The documentation builds as web pages without a warning, and they need no other host."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""By tag: the attribute whose target a browser fetches by itself."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `make docs` builds them."""
    folder = tmp_path_factory.mktemp("site")
    strict = ["--quiet", "--fail-on-warning", "--keep-going"]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *strict, str(ROOT / "docs"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    """Strictly: a warning fails the build."""
    wanted = {Path(page).relative_to("docs").with_suffix(".html") for page in written()}
    assert {page for page in wanted if not (site / page).is_file()} == set()


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    """A reader without a network sees them whole."""
    found = Loaded()
    for page in site.rglob("*.html"):
        found.feed(page.read_text(encoding="utf-8"))
    assert found.targets
    assert [one for one in found.targets if "//" in one] == []


def written() -> list[str]:
    """Return the pages that people write."""
    return [page for page in pages() if page.startswith("docs/")]


class Loaded(HTMLParser):
    """Collects what pages load."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what the tag loads."""
        if target := dict(attrs).get(LOADING.get(tag, "")):
            self.targets.add(target)

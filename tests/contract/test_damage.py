"""Views whose file is damaged are thrown away and made again; nothing else depends on them."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from projections.erasing import erase_views
from projections.errors import ViewsDamaged
from projections.opening import find_store, open_store
from projections.rebuild.renewal import renew
from projections.runner import Runner
from projections.sqlite_store import views_path
from tests.given import as_statement, created
from tests.projected import Views, about, dump, tangle
from tests.rebuilding import complete, ended, rebuilds_of

PAGE = 4_096


@pytest.fixture
def views(sqlite_url: str) -> Iterator[Views]:
    """A log about many connections, with views that have read it, all of them in one file."""
    views = Views(sqlite_url)
    views.tell(*tangle(1, 40))
    views.catch_up()
    views.store.scrub()
    yield views
    views.close()


def file_of(views: Views) -> Path:
    """The file of the views."""
    return views_path(Path(views.url.removeprefix("sqlite:///")), 1)


def overwrite(path: Path) -> None:
    """Let it be anything but a database."""
    path.write_bytes(os.urandom(10_000))


def cut_off(path: Path) -> None:
    """Let the greater part be missing."""
    os.truncate(path, 2 * PAGE)


def scratch(path: Path, table: str = "made") -> None:
    """Let one table be unreadable."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        [(page,)] = database.execute(query, (table,)).fetchall()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * PAGE)


@pytest.mark.parametrize("damage", [overwrite, cut_off, scratch])
def test_damaged_views_are_made_anew_when_the_service_starts(
    views: Views, damage: Callable[[Path], None]
) -> None:
    """They are what they were, because they are made of the log alone."""
    before = dump(views.store)
    views.store.close()
    damage(file_of(views))
    with pytest.raises(ViewsDamaged, match=r"damaged.*projections rebuild"):
        find_store(views.url)
    renew(views.url, monotonic=time.monotonic)
    with closing(open_store(views.url)) as store:
        assert dump(store) == before


def test_damaged_views_can_be_rebuilt_by_order(views: Views) -> None:
    """All of them, though the damaged ones tell nothing."""
    before = dump(views.store)
    views.store.close()
    overwrite(file_of(views))
    rebuilds = rebuilds_of(views.url)
    rebuilds.start(["history"])
    assert ended(rebuilds).state == "done"
    with closing(open_store(views.url)) as store:
        assert dump(store) == before


def test_damage_blocks_no_stream(views: Views) -> None:
    """It is no fault of the events that are to be written when it is found."""
    views.store.close()
    scratch(file_of(views), "history")
    views.tell(about("conn_new", as_statement(created(client="a"))))
    with closing(open_store(views.url)) as store:
        with pytest.raises(ViewsDamaged):
            Runner(views.log, store).step()
        with store.reading() as session:
            assert session.rows("SELECT * FROM blocked{g}") == []


def test_who_is_forgotten_is_not_left_in_damaged_views(views: Views) -> None:
    """An older generation that cannot be read goes as a whole."""
    rebuilds = rebuilds_of(views.url)
    rebuilds.start()
    assert ended(rebuilds).state == "done"
    views.store.close()
    overwrite(file_of(views))
    assert erase_views(views.log, views.url, ["conn_1"]) == []
    assert complete(views.url) == [2]

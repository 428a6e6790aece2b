"""What becomes of views that another version of the program made."""

import time
from contextlib import closing

import pytest

from projections.erasing import erase_views
from projections.errors import RebuildFailed, ViewsOutdated
from projections.opening import find_store, open_store
from projections.rebuild import rebuilds as module
from projections.rebuild.renewal import renew
from tests.projected import Views, dump
from tests.rebuilding import complete


def make_older(filled: Views) -> None:
    """Turn the live views into those of a version that had other columns and rules."""
    with filled.store.writing() as session:
        session.run("UPDATE made{g} SET version = version + 7 WHERE projection = 'current_state'")
        session.run("ALTER TABLE current_state{g} RENAME COLUMN short_id TO nickname")
        session.run("UPDATE current_state{g} SET status = 'dormant'")


def renewed(filled: Views) -> None:
    """Start as a service does."""
    renew(filled.url, monotonic=time.monotonic)


def test_views_of_this_version_stay_as_they_are(filled: Views) -> None:
    """Also those that do not exist yet: they are made when they are opened."""
    before = dump(filled.store)
    renewed(filled)
    assert complete(filled.url) == [1]
    assert dump(filled.store) == before


def test_there_is_nothing_to_renew_before_there_are_views(database_url: str) -> None:
    """A new ledger."""
    renew(database_url, monotonic=time.monotonic)
    assert complete(database_url) == []


def test_views_of_another_version_are_made_anew_from_the_log(filled: Views) -> None:
    """Before anybody asks them; what they are made of is the log alone."""
    before = dump(filled.store)
    make_older(filled)
    renewed(filled)
    with closing(open_store(filled.url)) as store:
        assert store.generation == 2
        assert dump(store) == before
    renewed(filled)
    assert complete(filled.url) == [1, 2]


def test_views_of_another_version_are_never_read(filled: Views) -> None:
    """Who only reads folds from the log; who would write is told what to do."""
    make_older(filled)
    assert find_store(filled.url) is None
    with pytest.raises(ViewsOutdated, match=r"current_state.*projections rebuild"):
        open_store(filled.url)


def test_an_erasure_throws_views_of_another_version_away(filled: Views) -> None:
    """Their rows cannot be made again without what is erased, and they may hold it."""
    make_older(filled)
    erase_views(filled.log, filled.url, ["conn_3"])
    assert complete(filled.url) == []
    with closing(open_store(filled.url)) as store:
        assert dump(store)["current_state"] == []


def test_what_keeps_views_from_being_made_anew_is_told(
    filled: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service does not start with views that it cannot read."""
    make_older(filled)
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    with pytest.raises(RebuildFailed, match="start again"):
        renewed(filled)
    assert complete(filled.url) == [1]

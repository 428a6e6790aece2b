"""Requests that no secret verified are held, within bounds."""

import os
from pathlib import Path

import pytest

from ledger import quarantine
from ledger.quarantine import Quarantine

HEADERS = [("OFAuth-Signature", "t=1,v1=ab"), ("X-Odd", "caf\u00e9")]
NOW = 1_767_268_800_000


@pytest.fixture
def held(tmp_path: Path) -> Quarantine:
    """An empty quarantine."""
    return Quarantine(tmp_path / "quarantine", entropy=os.urandom)


def test_a_request_is_held_byte_for_byte(held: Quarantine, tmp_path: Path) -> None:
    """Headers, body and the time of receipt come back as they were, also after a restart."""
    assert held.keep(HEADERS, b"\xff\x00 body", NOW)
    again = Quarantine(tmp_path / "quarantine", entropy=os.urandom)
    (request,) = again.list()
    assert (request.headers, request.body, request.received) == (
        tuple(HEADERS),
        b"\xff\x00 body",
        NOW,
    )


def test_held_files_are_private(held: Quarantine, tmp_path: Path) -> None:
    """A refused body can hold anything."""
    held.keep(HEADERS, b"body", NOW)
    (file,) = (tmp_path / "quarantine").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_every_folder_that_is_made_is_private(tmp_path: Path) -> None:
    """Also those above the quarantine."""
    held = Quarantine(tmp_path / "data" / "of" / "quarantine", entropy=os.urandom)
    held.keep(HEADERS, b"body", NOW)
    made = [tmp_path / "data", tmp_path / "data" / "of", tmp_path / "data" / "of" / "quarantine"]
    assert [folder.stat().st_mode & 0o777 for folder in made] == [0o700] * 3


def test_held_requests_are_given_page_by_page(held: Quarantine) -> None:
    """In the order in which they came."""
    for n in range(5):
        held.keep(HEADERS, b"body %d" % n, NOW + n)
    first = held.list(limit=2)
    rest = held.list(after=first[-1].id, limit=9)
    assert [one.body for one in (*first, *rest)] == [b"body %d" % n for n in range(5)]


def test_a_request_that_was_recorded_is_let_go(held: Quarantine) -> None:
    """Removing twice is fine."""
    held.keep(HEADERS, b"body", NOW)
    (request,) = held.list()
    held.remove(request.id)
    held.remove(request.id)
    assert held.count() == 0
    assert held.get(request.id) is None


def test_at_most_ten_in_a_second_are_held(held: Quarantine) -> None:
    """A flood of forgeries does not fill the disk."""
    kept = [held.keep(HEADERS, b"body", NOW + n) for n in range(20)]
    assert kept.count(True) == 10
    assert held.keep(HEADERS, b"body", NOW + 1000)


def test_a_body_over_64_kib_is_not_held(held: Quarantine) -> None:
    """The bound is on the body."""
    assert held.keep(HEADERS, b"x" * 64 * 1024, NOW)
    assert not held.keep(HEADERS, b"x" * (64 * 1024 + 1), NOW)


def test_requests_older_than_seven_days_go(held: Quarantine) -> None:
    """Whoever did not correct the secret in a week will not."""
    held.keep(HEADERS, b"old", NOW)
    held.keep(HEADERS, b"new", NOW + quarantine.MAX_AGE_MS + 1)
    assert [request.body for request in held.list()] == [b"new"]


def test_old_requests_go_without_a_new_one(held: Quarantine) -> None:
    """A service whose secret is right again holds nothing for ever."""
    held.keep(HEADERS, b"old", NOW)
    held.expire(NOW + quarantine.MAX_AGE_MS)
    assert held.count() == 1
    held.expire(NOW + quarantine.MAX_AGE_MS + 1)
    assert held.count() == 0


def test_what_a_kill_cut_off_goes(held: Quarantine, tmp_path: Path) -> None:
    """Half a file is no request, holds a body all the same, and may be another process's work."""
    held.keep(HEADERS, b"whole", NOW)
    half = tmp_path / "quarantine" / f"{NOW:015d}-00ff.partial"
    half.write_bytes(b"half")
    held.expire(NOW + 1_000)
    assert half.exists()
    held.expire(NOW + 61_000)
    assert not half.exists()
    half.write_bytes(b"half")
    assert held.erase(lambda body: body == b"whole") == 1
    assert list((tmp_path / "quarantine").iterdir()) == []


def test_what_another_process_let_go_makes_room(
    held: Quarantine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is on the folder, not on what one process remembers of it."""
    monkeypatch.setattr(quarantine, "MAX_BYTES", 1_000)
    assert held.keep(HEADERS, b"x" * 300, NOW)
    assert not held.keep(HEADERS, b"x" * 400, NOW)
    other = Quarantine(tmp_path / "quarantine", entropy=os.urandom)
    other.remove(other.list()[0].id)
    assert held.keep(HEADERS, b"x" * 400, NOW)


def test_the_folder_has_a_bound(held: Quarantine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once full, nothing is held until there is room again."""
    monkeypatch.setattr(quarantine, "MAX_BYTES", 1_000)
    kept = [held.keep(HEADERS, b"x" * 300, NOW + second * 1000) for second in range(5)]
    assert kept == [True, False, False, False, False] or kept.count(True) < 3
    held.remove(held.list()[0].id)
    assert held.keep(HEADERS, b"x" * 300, NOW + 9_000)


@pytest.mark.parametrize("id", ["../../etc/passwd", "", "no-such"])
def test_an_id_names_nothing_outside_the_folder(held: Quarantine, id: str) -> None:
    """An id typed by an operator is only ever a name in the folder."""
    assert held.get(id) is None
    held.remove(id)

"""API tokens: kept as digests, found in constant time, never shown."""

from __future__ import annotations

import pytest

from api.tokens import BadToken, find_token, hashed_entry, parse_token


def test_a_token_is_found_by_its_plain_or_hashed_entry() -> None:
    """Both forms of the setting accept the same token."""
    plain = parse_token("me:read+write:a:token:with:colons")
    hashed = parse_token(hashed_entry("me", ["write", "read"], "a:token:with:colons"))
    assert plain == hashed
    assert find_token(b"a:token:with:colons", [plain]) is plain
    assert find_token(b"another", [plain]) is None
    assert find_token(b"", []) is None


def test_the_hash_itself_is_no_token() -> None:
    """Who reads the settings cannot use the API."""
    entry = hashed_entry("me", ["read"], "secret")
    assert find_token(entry.rpartition(":")[2].encode(), [parse_token(entry)]) is None


@pytest.mark.parametrize(
    "entry",
    ["", "me", "me:read", "me:read:", ":read:x", "me::x", "me:root:x", "m e:read:x", "me:read+:x",
     "me:read:sha256=abc", "me:read:sha256=" + "G" * 64, "é:read:x", "a" * 65 + ":read:x"],
)  # fmt: skip
def test_a_malformed_entry_is_refused(entry: str) -> None:
    """With a sentence that does not repeat the token."""
    with pytest.raises(BadToken) as caught:
        parse_token(entry)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a:b", "m e"])
def test_a_bad_name_is_called_a_bad_name(name: str) -> None:
    """Not a bad scope, although both are read from one text."""
    with pytest.raises(BadToken, match="name must be"):
        hashed_entry(name, ["read"], "canary")


def test_a_token_shows_its_name_and_scopes_only() -> None:
    """Neither the token nor its digest."""
    assert repr(parse_token("me:write+read:canary")) == "Token(me:read+write)"

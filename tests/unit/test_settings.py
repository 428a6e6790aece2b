"""Settings: read once from a mapping, every mistake told at once, secrets never shown."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from api.settings import NAMES, LiveSettings, Settings, SettingsError

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
GOOD = {"LEDGER_WEBHOOK_SECRETS": SECRET, "LEDGER_API_TOKENS": "me:read:canary-token"}


def problems(environ: dict[str, str], *, serving: bool = False) -> list[str]:
    """The sentences with which these settings are refused."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ, serving=serving)
    return list(caught.value.problems)


def test_defaults_are_the_documented_ones() -> None:
    """Nothing but the secrets must be set; and only to serve."""
    settings = Settings.from_env({})
    assert settings.database_url == "sqlite:///connection-ledger.db"
    assert settings.database_file == Path("connection-ledger.db")
    assert settings.data_dir == Path("connection-ledger-data")
    assert settings.ofauth_url == "https://api.ofauth.com"
    assert settings.ofauth_api_key == ""
    assert settings.ofauth_paths == "account"
    assert settings.sweep_seconds == 300
    assert settings.stale_after_seconds == 86_400
    assert settings.tolerance_seconds == 300
    assert settings.strict_timestamps is False
    assert settings.log_format == "text"
    assert (settings.webhook_secrets, settings.api_tokens) == ((), ())


def test_serving_needs_secrets_and_says_which_and_how() -> None:
    """There are no default secrets."""
    told = problems({}, serving=True)
    assert [one.split(":")[0] for one in told] == ["LEDGER_WEBHOOK_SECRETS", "LEDGER_API_TOKENS"]
    assert "OFAuth's dashboard" in told[0]
    assert "connection-ledger token" in told[1]


def test_every_mistake_is_told_at_once() -> None:
    """One sentence for each."""
    told = problems(
        {
            "LEDGER_DATABASE_URL": "mysql://x",
            "LEDGER_API_TOKENS": "nonsense",
            "LEDGER_OFAUTH_URL": "api.ofauth.com",
            "LEDGER_OFAUTH_API_KEY": "two keys",
            "LEDGER_OFAUTH_PATHS": "both",
            "LEDGER_SWEEP_SECONDS": "often",
            "LEDGER_STALE_AFTER_SECONDS": "soon",
            "LEDGER_WEBHOOK_TOLERANCE_SECONDS": "-1",
            "LEDGER_STRICT_TIMESTAMPS": "perhaps",
            "LEDGER_LOG_FORMAT": "xml",
        },
        serving=True,
    )
    assert {one.split(":")[0] for one in told} == {
        "LEDGER_DATABASE_URL",
        "LEDGER_API_TOKENS",
        "LEDGER_OFAUTH_URL",
        "LEDGER_OFAUTH_API_KEY",
        "LEDGER_OFAUTH_PATHS",
        "LEDGER_SWEEP_SECONDS",
        "LEDGER_STALE_AFTER_SECONDS",
        "LEDGER_WEBHOOK_TOLERANCE_SECONDS",
        "LEDGER_STRICT_TIMESTAMPS",
        "LEDGER_LOG_FORMAT",
        "LEDGER_WEBHOOK_SECRETS",
    }


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LEDGER_STALE_AFTER_SECONDS", "soon", "a whole number of seconds from 1 to 1000000000"),
        ("LEDGER_WEBHOOK_TOLERANCE_SECONDS", "0", "a whole number of seconds from 1 to 1000000000"),
        ("LEDGER_SWEEP_SECONDS", "often", "a whole number of seconds from 1 to 1000000000"),
        ("LEDGER_OFAUTH_PATHS", "both", "account or plain"),
        ("LEDGER_OFAUTH_API_KEY", "a b", "one key: no spaces, and nothing beyond ASCII"),
        ("LEDGER_OFAUTH_URL", "ofauth", "an address such as https://api.ofauth.com"),
        ("LEDGER_STRICT_TIMESTAMPS", "perhaps", "true or false"),
        ("LEDGER_LOG_FORMAT", "xml", "text or json"),
    ],
)
def test_a_mistake_says_what_to_write_instead(name: str, value: str, told: str) -> None:
    """Nobody has to look it up."""
    assert problems({name: value}) == [f"{name}: it must be {told}."]


def test_several_secrets_and_tokens_are_comma_separated() -> None:
    """All valid at once, for rotation; white space around them does not count."""
    settings = Settings.from_env(
        {"LEDGER_WEBHOOK_SECRETS": " one, two,,", "LEDGER_API_TOKENS": "a:read:x, b:write+admin:y"}
    )
    assert [secret.value for secret in settings.webhook_secrets] == ["one", "two"]
    assert [token.name for token in settings.api_tokens] == ["a", "b"]


def test_return_urls_are_kept_character_by_character() -> None:
    """Comma separated or one a line; they are compared as they are."""
    urls = "https://app.example/done?a=1#top, http://localhost:3000/,\nhttps://[::1]/x"
    settings = Settings.from_env({"LEDGER_RETURN_URLS": urls, "LEDGER_PUBLIC_URL": "http://a/b/"})
    assert settings.return_urls == (
        "https://app.example/done?a=1#top",
        "http://localhost:3000/",
        "https://[::1]/x",
    )
    assert settings.public_url == "http://a/b"


@pytest.mark.parametrize(
    "url", ["app.example", "//app.example", "javascript:alert(1)", "https://", "https://a b", "é"]
)
def test_a_return_url_is_an_address(url: str) -> None:
    """Whatever else a browser would follow."""
    told = "LEDGER_RETURN_URLS: each must be an address such as https://app.example/connected."
    assert problems({"LEDGER_RETURN_URLS": f"https://app.example/,{url}"}) == [told]


def test_an_empty_setting_counts_as_not_set() -> None:
    """As in a template that somebody has not filled in."""
    assert Settings.from_env(dict.fromkeys(NAMES, " ")) == Settings.from_env({})


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_may_come_from_a_file(name: str, tmp_path: Path) -> None:
    """NAME_FILE names it; its trailing newline does not count."""
    values = {
        "LEDGER_DATABASE_URL": "sqlite:///other.db",
        "LEDGER_DATA_DIR": "other",
        "LEDGER_OFAUTH_URL": "http://127.0.0.1:9090",
        "LEDGER_OFAUTH_API_KEY": "a-key",
        "LEDGER_OFAUTH_PATHS": "plain",
        "LEDGER_PUBLIC_URL": "https://ledger.example",
        "LEDGER_RETURN_URLS": "https://app.example/done",
        "LEDGER_STRICT_TIMESTAMPS": "true",
        "LEDGER_LOG_FORMAT": "json",
    } | GOOD
    value = values.get(name, "77")
    file = tmp_path / "value"
    file.write_text(value + "\n")
    assert Settings.from_env({f"{name}_FILE": str(file)}) == Settings.from_env({name: value})


def test_a_setting_and_its_file_together_are_a_mistake(tmp_path: Path) -> None:
    """Nobody should have to guess which one counts."""
    file = tmp_path / "value"
    file.write_text("text")
    told = problems({"LEDGER_LOG_FORMAT": "json", "LEDGER_LOG_FORMAT_FILE": str(file)})
    assert "LEDGER_LOG_FORMAT_FILE is set too" in told[0]


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    """It is named, so that nobody serves without the secret they meant."""
    for path in (tmp_path / "missing", tmp_path):
        told = problems({"LEDGER_WEBHOOK_SECRETS_FILE": str(path)}, serving=True)
        assert any("LEDGER_WEBHOOK_SECRETS_FILE" in one for one in told)


def test_no_secret_is_shown() -> None:
    """Not in the settings' own text, nor in a complaint about them."""
    hidden = {
        "LEDGER_DATABASE_URL": "postgresql://u:canary@h/d",
        "LEDGER_OFAUTH_API_KEY": "canary",
    }
    shown = repr(Settings.from_env(GOOD | hidden))
    told = problems(
        {
            "LEDGER_API_TOKENS": "me:read+everything:canary-token,x:canary,m e:read:canary",
            "LEDGER_DATABASE_URL": "canary://canary",
            "LEDGER_OFAUTH_URL": "https://canary:canary@host",
            "LEDGER_OFAUTH_API_KEY": "canary canary",
            "LEDGER_OFAUTH_PATHS": "canary",
            "LEDGER_STALE_AFTER_SECONDS": "canary",
        }
    )
    for text in (shown, " ".join(told)):
        assert "canary" not in text
        assert SECRET not in text


@pytest.mark.parametrize(
    "url", ["sqlite:///", "sqlite://x", "postgres:/x", "ledger.db", "mysql://x"]
)
def test_other_databases_are_refused(url: str) -> None:
    """Two forms are known."""
    assert problems({"LEDGER_DATABASE_URL": url})[0].startswith("LEDGER_DATABASE_URL: ")


def test_files_lie_beside_the_database() -> None:
    """One folder for each ledger."""
    settings = Settings.from_env({"LEDGER_DATABASE_URL": "sqlite:////var/lib/books.db"})
    assert settings.database_file == Path("/var/lib/books.db")
    assert settings.data_dir == Path("/var/lib/books-data")
    chosen = Settings.from_env({"LEDGER_DATA_DIR": "/srv/x"})
    assert chosen.data_dir == Path("/srv/x")


def test_a_secret_that_can_verify_only_half_is_doubted() -> None:
    """`whsec_` with something else than base64 after it cannot verify Svix."""
    assert Settings.from_env(GOOD).doubts == []
    [doubt] = Settings.from_env(GOOD | {"LEDGER_WEBHOOK_SECRETS": "whsec_not base64!"}).doubts
    assert "not base64!" not in doubt


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "https://",
        "https://key@host",
        "https://host:0",
        "https://host:65536",
        "https://host?x=1",
        "https://host/#x",
        "https://ho st",
    ],
)
def test_other_addresses_of_the_provider_are_refused(url: str) -> None:
    """A host and perhaps a port and a path; a user or a query would be sent to the wrong place."""
    assert problems({"LEDGER_OFAUTH_URL": url})[0].startswith("LEDGER_OFAUTH_URL: ")


def test_an_address_of_the_provider_may_have_port_and_path() -> None:
    """A slash at its end does not count."""
    for url in ("http://[::1]:9090", "https://gate.example/ofauth"):
        assert Settings.from_env({"LEDGER_OFAUTH_URL": f"{url}/"}).ofauth_url == url


def test_a_key_that_travels_in_the_clear_is_doubted() -> None:
    """Plain http is for emulators; without a key nothing is sent."""
    plain = {"LEDGER_OFAUTH_URL": "http://127.0.0.1:9090"}
    assert Settings.from_env(plain).doubts == []
    [doubt] = Settings.from_env(plain | {"LEDGER_OFAUTH_API_KEY": "canary"}).doubts
    assert "not https" in doubt
    assert "canary" not in doubt


def test_changed_files_are_read_again_and_bad_ones_are_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A rotation needs no restart; a mistake in it keeps the last good settings and is logged."""
    file = tmp_path / "tokens"
    file.write_text("one:read:first")
    environ = {"LEDGER_API_TOKENS_FILE": str(file), "LEDGER_WEBHOOK_SECRETS": SECRET}
    live = LiveSettings(environ, serving=True)
    assert [token.name for token in live().api_tokens] == ["one"]
    file.write_text("two:read:second-token")
    assert [token.name for token in live().api_tokens] == ["two"]
    for bad in ("canary", ""):
        file.write_text(bad)
        with caplog.at_level(logging.WARNING):
            assert [token.name for token in live().api_tokens] == ["two"]
    file.unlink()
    assert [token.name for token in live().api_tokens] == ["two"]
    assert len(caplog.records) == 3
    assert "canary" not in caplog.text
    file.write_text("three:read:third")
    assert [token.name for token in live().api_tokens] == ["three"]

"""The settings: the only reader of the environment, and of the files that it names."""

import contextlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from environs import Env, EnvValidationError
from marshmallow import ValidationError, fields, validate

from api.tokens import BadToken, Token, parse_token
from ledger.domain.errors import LedgerError
from ledger.ofauth.client import Paths
from ledger.ofauth.signatures import DEFAULT_TOLERANCE, Dialect, Secret

log = logging.getLogger(__name__)

NAMES: Final[Mapping[str, str]] = {
    "LEDGER_DATABASE_URL": "database_url",
    "LEDGER_DATA_DIR": "data_dir",
    "LEDGER_WEBHOOK_SECRETS": "webhook_secrets",
    "LEDGER_API_TOKENS": "api_tokens",
    "LEDGER_OFAUTH_URL": "ofauth_url",
    "LEDGER_OFAUTH_API_KEY": "ofauth_api_key",
    "LEDGER_OFAUTH_PATHS": "ofauth_paths",
    "LEDGER_SWEEP_SECONDS": "sweep_seconds",
    "LEDGER_PUBLIC_URL": "public_url",
    "LEDGER_RETURN_URLS": "return_urls",
    "LEDGER_STALE_AFTER_SECONDS": "stale_after_seconds",
    "LEDGER_WEBHOOK_TOLERANCE_SECONDS": "tolerance_seconds",
    "LEDGER_STRICT_TIMESTAMPS": "strict_timestamps",
    "LEDGER_LOG_FORMAT": "log_format",
}
"""Every setting of the service, and its attribute of `Settings`, where it is explained. Each may
also come from the file that `<name>_FILE` names."""
NEEDED: Final = ("LEDGER_WEBHOOK_SECRETS", "LEDGER_API_TOKENS")
"""What has no default and `serve` cannot do without."""

DEFAULT_DATABASE_URL: Final = "sqlite:///connection-ledger.db"
DEFAULT_OFAUTH_URL: Final = "https://api.ofauth.com"
DEFAULT_SWEEP_S: Final = 300
DEFAULT_STALE_AFTER_S: Final = 86_400
MOST_SECONDS: Final = 10**9
LOG_FORMATS: Final = ("text", "json")

_SQLITE = "sqlite:///"
_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:/[A-Za-z0-9_.~/-]*)?"
)
_URL = re.compile(r"https?://[A-Za-z0-9\[][!-~]*")
_HOW = {
    "LEDGER_WEBHOOK_SECRETS": "Set it to the signing secret from OFAuth's dashboard "
    "(several: comma separated), or LEDGER_WEBHOOK_SECRETS_FILE to a file that holds it.",
    "LEDGER_API_TOKENS": "Make an entry with `connection-ledger token NAME read+write+admin` and "
    "set it (several: comma separated), or LEDGER_API_TOKENS_FILE to a file that holds it.",
}


class SettingsError(LedgerError):
    """Settings are missing or bad; `problems` has one sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process was told; it never shows a secret."""

    database_url: str = field(default=DEFAULT_DATABASE_URL, repr=False)
    """Where the log rests: `sqlite:///file` (four slashes before an absolute path) or
    `postgresql://user:password@host:5432/name`."""
    data_dir: Path
    """Folder of the quarantine. By default it lies beside a SQLite database and has its name
    without the suffix, and `-data`; with PostgreSQL it is in the current folder."""
    webhook_secrets: tuple[Secret, ...] = ()
    """Signing secrets, comma separated or one a line, all valid at once."""
    api_tokens: tuple[Token, ...] = ()
    """`name:scope+scope:token` or `name:scope+scope:sha256=<hex>`, comma separated or one a line.
    Scopes are `read`, `write` and `admin`; none implies another."""
    ofauth_url: str = DEFAULT_OFAUTH_URL
    """Address of OFAuth's API. It is asked directly: proxies and `.netrc` of the environment do
    not count."""
    ofauth_api_key: str = field(default="", repr=False)
    """API key from OFAuth's dashboard. Without it the ledger listens to webhooks and asks
    nothing."""
    ofauth_paths: Paths = Paths.ACCOUNT
    """Under which of OFAuth's two families of paths connections are listed and deleted:
    `account` (`/v2/account/connections`) or `plain` (`/v2/connections`)."""
    sweep_seconds: int = DEFAULT_SWEEP_S
    """How long after the start of a sweep the next one starts."""
    public_url: str = ""
    """Address under which browsers reach this service, such as `https://ledger.example`. Links
    begin there, and OFAuth sends browsers back to `/link/return` below it: register that address
    in OFAuth's dashboard. Without it no Link session can be started."""
    return_urls: tuple[str, ...] = ()
    """Where browsers may be sent at the end of a Link session, comma separated or one a line. A
    session takes the first one unless it names another of them, character by character."""
    stale_after_seconds: int = DEFAULT_STALE_AFTER_S
    """A live connection whose newest evidence is older is `stale`."""
    tolerance_seconds: int = DEFAULT_TOLERANCE
    """A signature older than this is *delayed*; one that lies further in the future is refused."""
    strict_timestamps: bool = False
    """Whether delayed deliveries are refused with 401 instead of kept."""
    log_format: str = "text"
    """`text`, or `json` for one object a line."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, serving: bool = False) -> Self:
        """Read every setting; `serving` also demands the secrets that only the service needs.

        Raises:
            SettingsError: names everything missing or bad at once.
        """
        env = _Environment(environ)
        env.add_parser("sqlite_or_postgres", _database_url)
        env.add_parser("secrets", _secrets)
        env.add_parser("tokens", _tokens)
        env.add_parser("address", _address)
        env.add_parser("urls", _urls)
        env.add_parser("api_key", _api_key)
        env.add_parser("family", _paths)
        env.add_parser("seconds", _seconds)
        env.add_parser("truth", _truth)
        read = {
            "database_url": env.sqlite_or_postgres("LEDGER_DATABASE_URL", DEFAULT_DATABASE_URL),
            "data_dir": env.path("LEDGER_DATA_DIR", None),
            "webhook_secrets": env.secrets("LEDGER_WEBHOOK_SECRETS", ""),
            "api_tokens": env.tokens("LEDGER_API_TOKENS", ""),
            "ofauth_url": env.address("LEDGER_OFAUTH_URL", DEFAULT_OFAUTH_URL),
            "ofauth_api_key": env.api_key("LEDGER_OFAUTH_API_KEY", ""),
            "ofauth_paths": env.family("LEDGER_OFAUTH_PATHS", Paths.ACCOUNT.value),
            "sweep_seconds": env.seconds("LEDGER_SWEEP_SECONDS", str(DEFAULT_SWEEP_S)),
            "public_url": env.address("LEDGER_PUBLIC_URL", ""),
            "return_urls": env.urls("LEDGER_RETURN_URLS", ""),
            "stale_after_seconds": env.seconds(
                "LEDGER_STALE_AFTER_SECONDS", str(DEFAULT_STALE_AFTER_S)
            ),
            "tolerance_seconds": env.seconds(
                "LEDGER_WEBHOOK_TOLERANCE_SECONDS", str(DEFAULT_TOLERANCE)
            ),
            "strict_timestamps": env.truth("LEDGER_STRICT_TIMESTAMPS", "false"),
            "log_format": env.str("LEDGER_LOG_FORMAT", "text", validate=_LOG_FORMAT),
        }
        problems = env.problems()
        if serving:
            problems += _missing(read, problems)
        if problems:
            raise SettingsError(problems)
        if read["data_dir"] is None:
            read["data_dir"] = _default_data_dir(read["database_url"])
        return cls(**read)

    @property
    def database_file(self) -> Path | None:
        """The file of a SQLite ledger; None on PostgreSQL."""
        return _sqlite_file(self.database_url)

    @property
    def doubts(self) -> list[str]:
        """Sentences about settings that are allowed and probably wrong."""
        doubts = [
            f"Secret {secret.label} begins with whsec_ and is not base64 after it, so it cannot "
            "verify svix-* or webhook-* headers; copy it again from OFAuth's dashboard."
            for secret in self.webhook_secrets
            if secret.value.startswith("whsec_") and not secret.macs(Dialect.SVIX)
        ]
        if self.ofauth_api_key and self.ofauth_url.startswith("http://"):
            doubts.append(
                "LEDGER_OFAUTH_URL is not https, so whoever listens on the way can read the API "
                "key; that is right for an emulator only."
            )
        return doubts


class LiveSettings:
    """Settings that follow the files they came from; call it for the present ones."""

    def __init__(self, environ: Mapping[str, str], *, serving: bool = False) -> None:
        """Read the settings.

        Raises:
            SettingsError: as `Settings.from_env`.
        """
        self._read: Callable[[], Settings] = lambda: Settings.from_env(environ, serving=serving)
        self._files = [Path(environ[f"{n}_FILE"]) for n in NAMES if environ.get(f"{n}_FILE")]
        self._stamps = self._stat()
        self._present = self._read()

    def __call__(self) -> Settings:
        """Give the present settings; files that became bad leave the last good ones in force."""
        if self._files:
            stamps = self._stat()
            if stamps != self._stamps:
                self._stamps = stamps
                self._reload()
        return self._present

    def _reload(self) -> None:
        try:
            self._present = self._read()
        except SettingsError as error:
            log.warning("changed settings are bad, the last good ones stay: %s", error)
        else:
            log.info("settings were read again")

    def _stat(self) -> list[tuple[int, ...]]:
        stamps: list[tuple[int, ...]] = []
        for file in self._files:
            with contextlib.suppress(OSError):
                stat = file.stat()
                stamps.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return stamps


def is_address(text: str) -> bool:
    """Whether a text is where a service can be asked: http or https, a host, a port, a path."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and 0 < int(found["port"] or 443) < 65_536


class _Environment(Env):
    """An environs reader of a given mapping, in which `NAME_FILE` names a file with the value."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(eager=False)
        self._given = environ

    def _get_value(self, env_key: str, default: Any) -> Any:
        value, file = self._given.get(env_key), self._given.get(f"{env_key}_FILE")
        if value and file:
            self._errors[env_key].append(f"{env_key}_FILE is set too; unset one of them.")
        if not file:
            return value.strip() if value and value.strip() else default
        try:
            return Path(file).read_text(encoding="utf-8").strip() or default
        except (OSError, ValueError) as error:
            self._errors[env_key].append(
                f"{env_key}_FILE names no readable text file ({type(error).__name__}); "
                "correct the path, or let this user read it."
            )
            return default

    def problems(self) -> list[str]:
        """Give a sentence for each bad setting."""
        try:
            self.seal()
        except EnvValidationError as error:
            messages = error.error_messages
            if isinstance(messages, Mapping):
                return [f"{name}: {text}" for name in messages for text in messages[name]]
            return [str(text) for text in messages]
        return []


_LOG_FORMAT = validate.OneOf(LOG_FORMATS, error=f"it must be {' or '.join(LOG_FORMATS)}.")


def _missing(read: Mapping[str, Any], problems: Sequence[str]) -> list[str]:
    """Sentences for what the service cannot do without."""
    return [
        f"{name}: it is not set. {_HOW[name]}"
        for name in NEEDED
        if not read[NAMES[name]] and not any(one.startswith(f"{name}:") for one in problems)
    ]


def _entries(text: str) -> list[str]:
    return [entry for part in text.replace("\n", ",").split(",") if (entry := part.strip())]


def _secrets(text: str) -> tuple[Secret, ...]:
    return tuple(Secret(entry) for entry in _entries(text))


def _tokens(text: str) -> tuple[Token, ...]:
    try:
        return tuple(parse_token(entry) for entry in _entries(text))
    except BadToken as error:
        raise ValidationError(f"{error}.") from error


def _seconds(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not 1 <= int(text) <= MOST_SECONDS:
        raise ValidationError(f"it must be a whole number of seconds from 1 to {MOST_SECONDS}.")
    return int(text)


def _truth(text: str) -> bool:
    if text not in fields.Boolean.truthy | fields.Boolean.falsy:
        raise ValidationError("it must be true or false.")
    return text in fields.Boolean.truthy


def _address(text: str) -> str:
    if text and not is_address(text):
        raise ValidationError(f"it must be an address such as {DEFAULT_OFAUTH_URL}.")
    return text.rstrip("/")


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(_entries(text))
    if not all(_URL.fullmatch(url) for url in urls):
        raise ValidationError("each must be an address such as https://app.example/connected.")
    return urls


def _api_key(text: str) -> str:
    if not re.fullmatch("[!-~]*", text):
        raise ValidationError("it must be one key: no spaces, and nothing beyond ASCII.")
    return text


def _paths(text: str) -> Paths:
    if text not in [one.value for one in Paths]:
        raise ValidationError(f"it must be {' or '.join(Paths)}.")
    return Paths(text)


def _database_url(text: str) -> str:
    if not text.startswith(("postgresql://", _SQLITE)) or text == _SQLITE:
        raise ValidationError("it must be sqlite:///FILE or postgresql://USER@HOST/NAME.")
    return text


def _sqlite_file(url: str) -> Path | None:
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def _default_data_dir(url: str) -> Path:
    file = _sqlite_file(url)
    return Path("connection-ledger-data") if file is None else file.with_name(f"{file.stem}-data")

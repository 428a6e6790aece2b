"""Whether the settings are there, can be used, and are strong enough."""

from collections.abc import Iterator, Mapping
from typing import Final

from api.checks.finding import Finding, failed, warning, well
from api.settings import Settings, SettingsError
from ledger.ofauth.signatures import Dialect, Secret

CHECK: Final = "settings"
SHORT: Final = 16
"""A secret with fewer characters can be guessed."""
FUNCTIONS: Final = "POSTGRES_ENABLE_DB_FUNCTIONS"


def check_settings(environ: Mapping[str, str]) -> tuple[list[Finding], Settings | None]:
    """Check what `serve` needs; also give the settings as far as other checks can use them."""
    findings = []
    try:
        Settings.from_env(environ, serving=True)
    except SettingsError as error:
        for problem in error.problems:
            name, _, rest = problem.partition(": ")
            findings.append(failed(CHECK, f"{name} is missing or bad.", rest))
    try:
        settings = Settings.from_env(environ)
    except SettingsError:
        return findings, None
    findings += [one for secret in settings.webhook_secrets for one in _check_secret(secret)]
    if environ.get(FUNCTIONS, "").lower() not in ("", "0", "n", "no", "f", "false", "off"):
        advice = f"Unset {FUNCTIONS}: without a table lock readers pass over events."
        findings.append(warning(CHECK, f"{FUNCTIONS} is set. The ledger ignores it.", advice))
    return findings or [well(CHECK, "everything that `serve` needs is set")], settings


def _check_secret(secret: Secret) -> Iterator[Finding]:
    rest = secret.value.removeprefix("whsec_")
    advice = "Copy it again from OFAuth's dashboard."
    if not rest:
        yield failed(CHECK, f"Secret {secret.label} is empty behind whsec_.", advice)
    elif rest != secret.value and not secret.macs(Dialect.SVIX):
        what = f"Secret {secret.label} is not base64 behind whsec_: svix-* headers cannot verify."
        yield failed(CHECK, what, advice)
    elif len(rest) < SHORT:
        what = f"Secret {secret.label} has fewer than {SHORT} characters and can be guessed."
        yield warning(CHECK, what, "Make a longer one in OFAuth's dashboard.")

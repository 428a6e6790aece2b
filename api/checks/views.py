"""How the views, the parked and the held deliveries, the clock and the webhooks are doing."""

from collections.abc import Iterable, Iterator
from typing import Final

from api.checks.finding import Finding, failed, warning, well
from api.times import format_micros
from ledger.reconcile.telling import Course
from ledger.recorders.base import Head
from projections.answers import Blocked

FAR: Final = 10_000
"""From this lag on, in positions, the views are far behind."""


def check_clock(head: Head, now_us: int) -> Finding:
    """Check our clock against the newest event; both in microseconds UTC."""
    if now_us >= head.recorded_at:
        return well("clock", "not behind the newest event")
    seconds = (head.recorded_at - now_us) / 1_000_000
    return failed(
        "clock",
        f"This machine's clock is {seconds:.0f} s behind the newest event "
        f"({format_micros(head.recorded_at)}).",
        "Correct the clock, and keep it with NTP: signatures are judged by it.",
    )


def check_views(positions: dict[str, int], blocked: Iterable[Blocked], end: int) -> list[Finding]:
    """Check how far each projection has read, and what it could not fold."""
    findings = []
    for name, position in positions.items():
        lag = end - position
        if lag < 0:
            what = f"{name} has read up to {position}, the log ends at {end}: another log's views."
            advice = "`connection-ledger projections rebuild` makes new ones from the log."
            findings.append(failed("views", what, advice))
        elif lag > FAR:
            what = f"{name} is {lag} positions behind."
            advice = "Wait, or see that `serve` runs; its log says what stops the views."
            findings.append(warning("views", what, advice))
    for one in blocked:
        what = f"{one.projection} could not fold {one.name} from position {one.position} on."
        findings.append(failed("views", what, one.reason))
    if findings:
        return findings
    furthest = end - min(positions.values(), default=end)
    return [well("views", f"{len(positions)} projections, at most {furthest} positions behind")]


def check_waiting(parked: int, held: int) -> Iterator[Finding]:
    """Check what waits for a person: parked deliveries and requests in quarantine."""
    if parked:
        advice = "`parked list` says why; after an upgrade `parked retry` reads them again."
        yield failed("parked", f"Deliveries that could not be read: {parked}.", advice)
    else:
        yield well("parked", "nothing")
    if held:
        advice = "Correct LEDGER_WEBHOOK_SECRETS, then `quarantine verify` records them."
        yield failed("quarantine", f"Requests that no secret verified: {held}.", advice)
    else:
        yield well("quarantine", "nothing")


def check_duplicates(number: int) -> Finding:
    """Check whether an upstream account is connected, and so billed, more than once."""
    if not number:
        return well("duplicates", "no account is connected twice")
    advice = "`/api/duplicates` names them; what is deleted at OFAuth is billed no longer."
    return warning("duplicates", f"Accounts with several live connections: {number}.", advice)


def check_silence(heard: dict[str, int], now_ms: int, limit_ms: int) -> Finding:
    """Check when a signed delivery last came, in whichever dialect; milliseconds UTC."""
    if not heard:
        advice = "Register the webhook in OFAuth's dashboard, or send one with `sign` and curl."
        return warning("silence", "No signed delivery has ever come.", advice)
    silent_ms = max(0, now_ms - max(heard.values()))
    what = f"the last signed delivery came {silent_ms // 1000} s ago"
    if silent_ms <= limit_ms:
        return well("silence", what)
    advice = "See in OFAuth's dashboard whether deliveries fail, and that the proxy passes them."
    return failed("silence", f"{what[0].upper()}{what[1:]}.", advice)


def check_sweep(lately: Course, now_ms: int, interval_s: int, has_key: bool) -> Finding:
    """Check when the provider's list was last read whole, and what it told; milliseconds UTC."""
    if not has_key:
        advice = "Set LEDGER_OFAUTH_API_KEY, so that `serve` finds what webhooks did not tell."
        return warning("sweep", "The provider's list is not read: there is no key.", advice)
    if lately.braked:
        what = "Too many connections were absent from the provider's list at once."
        advice = "Look into OFAuth's dashboard; if they are gone: `sweep --confirm-absences`."
        return failed("sweep", what, advice)
    if lately.last_valid_at is None:
        advice = "Run `connection-ledger sweep`, or see the log of `serve` for what stops it."
        return warning("sweep", "The provider's list has never been read whole.", advice)
    age_s = max(0, now_ms - lately.last_valid_at) // 1000
    if age_s > max(3 * interval_s, 600):
        what = f"The provider's list was last read whole {age_s} s ago."
        return failed("sweep", what, "See the log of `serve`, or run `connection-ledger sweep`.")
    found = f"the list was read {age_s} s ago; webhooks missed {lately.missed_rate:.1%} of changes"
    return well("sweep", found)


def check_commands(unproved: int) -> Finding:
    """Check whether commands are proved to be done."""
    if not unproved:
        return well("commands", "none is open for too long")
    what = f"Connections with a command that is not proved after 15 minutes: {unproved}."
    advice = "They are still billed. The log of `serve` names them and says what OFAuth answers."
    return failed("commands", what, advice)

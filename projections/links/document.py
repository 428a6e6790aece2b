"""From a Link session to what is answered about it."""

from collections.abc import Iterable, Sequence

from ledger.domain.link_session import LinkSession, LinkState
from projections.answers import LinkReport, LinkView


def link_view(session: LinkSession, *, moment_ms: int) -> LinkView:
    """Give what is true of a session; where it stands depends on when one asks."""
    asked, started = session.request, session.started
    completed, failed, cancelled = session.completed, session.failed, session.cancelled
    return LinkView(
        link_id=session.id,
        client_reference_id=asked.client,
        connection_id=asked.connection,
        status=session.state(moment_ms).value,
        requested_at=asked.observed,
        requested_by=asked.by,
        via=asked.via,
        risk=asked.risk,
        return_url=asked.return_url,
        started_at=None if started is None else started.observed,
        expires_at=None if started is None else session.ends_at,
        report=_report(session),
        completed_at=None if completed is None else completed.proved_at,
        completed_connection_id=None if completed is None else completed.connection,
        failed_at=None if failed is None else failed.observed,
        failure_reason=session.failure(moment_ms),
        cancelled_at=None if cancelled is None else cancelled.observed,
    )


def _report(session: LinkSession) -> LinkReport | None:
    said = session.report
    if said is None:
        return None
    return LinkReport(
        channel=said.channel,
        status=said.status,
        step=said.step,
        error=said.error,
        connection_id=said.connection,
        reported_at=said.observed,
    )


def link_views(sessions: Iterable[LinkSession], *, moment_ms: int) -> tuple[LinkView, ...]:
    """Give what is true of a client's sessions at a moment, the first one asked for first."""
    return tuple(link_view(session, moment_ms=moment_ms) for session in sessions)


def status_by_links(views: Sequence[LinkView]) -> str | None:
    """Give the status of a client of whom no connection lives, by its Link sessions.

    `pending` while one is open, else that of the last one if it came to nothing; None when it was
    completed, or there is none.
    """
    said = [view.status for view in views]
    if LinkState.PENDING in said:
        return LinkState.PENDING
    return said[-1] if said and said[-1] != LinkState.COMPLETED else None

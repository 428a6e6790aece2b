"""Commands whose process dies at each of their steps: nothing is forgotten, nothing done twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api import commanding
from api.bootstrap import entropy, now_us
from api.commanding import Commanding
from ledger.application import Ledger
from ledger.commands import STEPS, Commands, intents
from ledger.domain.connection import Connection, fold
from ledger.domain.orders import Order
from ledger.domain.status import Status
from ledger.ofauth.errors import ConnectionGone, Forbidden, Unreachable
from ledger.ofauth.results import Confirmed
from ledger.reconcile.rows import statements_of
from tests.builders import delivery, open_ledger, webhook
from tests.rebuilding import until

ID = "conn_1"
MOMENTS = ("before", "after")


class Provider:
    """A provider that counts what calls did, and whose answers can get lost."""

    def __init__(self) -> None:
        self.status = "active"
        self.effects: dict[Order, int] = dict.fromkeys(Order, 0)
        self.calls = 0
        self.cut = False

    def delete(self, connection_id: str) -> Confirmed:
        """Delete the connection, unless it is gone."""
        self.calls += 1
        if self.status == "gone":
            raise ConnectionGone(type="RESOURCE_NOT_FOUND", answered=now_ms())
        self.status = "gone"
        return self._answer(Order.DELETE)

    def invalidate(self, connection_id: str) -> Confirmed:
        """End its session, unless it is gone."""
        self.calls += 1
        if self.status == "gone":
            raise ConnectionGone(type="RESOURCE_NOT_FOUND", answered=now_ms())
        self.status = "expired"
        return self._answer(Order.INVALIDATE)

    def _answer(self, order: Order) -> Confirmed:
        self.effects[order] += 1
        if self.cut:
            raise Unreachable(may_have_happened=True)
        return Confirmed(answered=now_ms())


class Dead(BaseException):
    """The process was killed."""


class Dying(Commands):
    """Commands whose process dies right before or right after one of their steps."""

    def __init__(self, write: Any, step: str, moment: str) -> None:
        super().__init__(write, now_ms=now_ms, entropy=entropy)
        self.died = False
        real: Callable[..., Any] = getattr(self, step)

        def die(*args: Any, **kwargs: Any) -> Any:
            if moment == "after":
                real(*args, **kwargs)
            self.died = True
            raise Dead

        setattr(self, step, die)


def now_ms() -> int:
    """The time, milliseconds UTC."""
    return now_us() // 1000


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger that knows one connection."""
    ledger = open_ledger(database_url)
    ledger._now = now_us  # it shares the clock of the commands
    body = webhook("created", ID, at=now_ms() - 60_000, status="active")
    ledger.record([delivery(body, observed=now_ms() - 60_000)])
    yield ledger
    ledger.log.close()


def known(ledger: Ledger) -> Connection:
    """What is true of the connection."""
    found = fold(ID, statements_of(ledger.log, [ID])[ID])
    assert found is not None
    return found


def run_once(ledger: Ledger, provider: Provider, order: Order, step: str, moment: str) -> None:
    """Command something in a process that dies at a step; it is refused where that is the step."""
    dying = Dying(lambda noted: ledger.record([noted])[0], step, moment)
    provider.status = "gone" if step == "refused" else "active"

    def live() -> None:
        request = dying.requested(order, ID, by="ops")
        try:
            confirmed = dying.called(provider, request)
        except ConnectionGone as error:
            dying.refused(request, error, known(ledger))
        else:
            dying.settled(request, confirmed.answered)

    with pytest.raises(Dead):
        live()
    assert dying.died


def work_on(ledger: Ledger, provider: Provider, done: Callable[[], bool]) -> None:
    """Let another process look for what was left open, until something is so."""
    worker = Commanding(
        Commands(lambda noted: ledger.record([noted])[0], now_ms=now_ms, entropy=entropy),
        ledger.log,
        lambda: provider,
        commanded=lambda: [ID],
        now_ms=now_ms,
        monotonic=time.monotonic,
    )
    worker.start()
    try:
        until(done)
    finally:
        worker.stop()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others left is worked on at once."""
    monkeypatch.setattr(commanding, "LOOK_S", 0.01)
    monkeypatch.setattr(commanding, "OTHERS_MS", 0)
    monkeypatch.setattr(commanding, "FIRST_WAIT_S", 0.01)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_deletion_cut_at_any_step_is_done_once(ledger: Ledger, step: str, moment: str) -> None:
    """It ends proved, or waits for the pass that proves it; before the request there was none."""
    provider = Provider()
    run_once(ledger, provider, Order.DELETE, step, moment)
    if (step, moment) == ("requested", "before"):
        assert known(ledger).deletion_requested_at is None
        return
    work_on(
        ledger,
        provider,
        lambda: not known(ledger).live or known(ledger).not_found_at is not None,
    )
    assert provider.effects == {Order.DELETE: int(step != "refused"), Order.INVALIDATE: 0}
    assert provider.status == "gone"


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", STEPS)
def test_an_ended_session_cut_at_any_step_is_not_ended_twice(
    ledger: Ledger, step: str, moment: str
) -> None:
    """Whoever finds it open cannot tell whether it happened, and does not call before a pass."""
    provider = Provider()
    run_once(ledger, provider, Order.INVALIDATE, step, moment)
    effects, calls = dict(provider.effects), provider.calls
    if (step, moment) == ("settled", "after"):
        assert known(ledger).status is Status.EXPIRED
    looked: list[int] = []
    work_on(ledger, provider, lambda: looked.append(1) or len(looked) > 20)  # type: ignore[func-returns-value]
    assert (provider.effects, provider.calls) == (effects, calls)
    open_now = [
        one.waits_for_sweep for one in intents(ID, statements_of(ledger.log, [ID])[ID], None)
    ]
    asked = known(ledger).invalidation_requested_at is not None
    assert open_now == ([True] if asked and known(ledger).status is Status.ACTIVE else [])


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("order", Order)
def test_a_refusal_that_is_not_written_down_is_none(
    ledger: Ledger, order: Order, moment: str
) -> None:
    """Who asked has no answer, so it goes on; once it is written down it is over for good."""
    provider = Provider()
    dying = Dying(lambda noted: ledger.record([noted])[0], "refused", moment)
    request = dying.requested(order, ID, by="old", closable=True)
    with pytest.raises(Dead):
        dying.refused(request, Forbidden(status=403, answered=now_ms()), known(ledger))
    left = [one.request.order for one in intents(ID, statements_of(ledger.log, [ID])[ID], None)]
    assert left == ([order] if moment == "before" else [])
    looked: list[int] = []
    done = moment == "before" and order is Order.DELETE
    work_on(ledger, provider, lambda: looked.append(1) or len(looked) > 20)  # type: ignore[func-returns-value]
    if done:
        work_on(ledger, provider, lambda: not known(ledger).live)
    assert sum(provider.effects.values()) == done


def test_a_lost_answer_is_asked_for_again_only_where_that_is_harmless(ledger: Ledger) -> None:
    """A deletion is: it cannot happen twice."""
    provider = Provider()
    provider.cut = True
    record = Commands(lambda noted: ledger.record([noted])[0], now_ms=now_ms, entropy=entropy)
    request = record.requested(Order.DELETE, ID, by="ops")
    with pytest.raises(Unreachable):
        record.called(provider, request)
    provider.cut = False
    work_on(ledger, provider, lambda: known(ledger).not_found_at is not None)
    assert provider.effects[Order.DELETE] == 1


def test_every_step_is_a_method(tmp_path: Path) -> None:
    """So that a step that is added is cut here too."""
    public = {name for name in vars(Commands) if not name.startswith("_")}
    assert public == {*STEPS, "new_evidence"}

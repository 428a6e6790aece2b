"""PostgreSQL goes away and comes back: nothing is promised meanwhile, and nobody has to help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg_pool.base import AttemptWithBackoff

from tests.builders import NOON, webhook
from tests.postgres import PostgresServer
from tests.serving import PROBLEM, Serving

PAUSE_S = 60.0
"""What a pool left to itself would pause after its first failure, in seconds: as it does after a
minute without the server, which the test need not wait for."""
TRIES = 3
"""How many deliveries find out that the server is gone."""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that this test may stop."""
    with PostgresServer() as server:
        yield server


def test_a_service_is_back_as_soon_as_its_database_is(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it was away: the next deliveries are durable, and the views go on."""
    monkeypatch.setattr(AttemptWithBackoff, "INITIAL_DELAY", PAUSE_S)
    with Serving(server.create_database(), tmp_path) as serving:
        serving.tell("created", at=NOON)
        with server.away():
            for number in range(TRIES):
                refused = serving.deliver(webhook("updated", at=NOON + number))
                assert (refused.status_code, refused.content_type) == (503, PROBLEM)
                assert refused.headers["Retry-After"] == "30"
            assert serving.get("/readyz").status_code == 503
            assert serving.get("/livez").status_code == 200
            assert serving.get("/api/clients/user_1", minPosition=None).status_code == 503
        again = [serving.deliver(webhook("expired", at=NOON + 10)).status_code for _ in range(2)]
        assert again[-1] == 204
        assert serving.read("/api/clients/user_1")["status"] == "expired"

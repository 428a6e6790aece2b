"""Both views by eventsourcing's ProjectionRunner, as its documentation shows it.

`… <url> <events>` prints how many seconds the events took. One transaction for each event, which is
what makes it exact. On PostgreSQL, because the library's SQLite recorder has no subscriptions.
"""

import sys
import time
from itertools import islice
from typing import Any, Final

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import get_topic
from msgspec import json

from tests.benchmarks import logs
from tests.benchmarks.rivals.common import library_environment

AT_ONCE: Final = 500
PATIENCE_S: Final = 300.0
TABLES: Final = """
    CREATE TABLE runner_now (id text PRIMARY KEY, client text, status text, document text);
    CREATE TABLE runner_history (
        client text, position bigint, connection text, type text, occurred bigint, document text);
    CREATE INDEX ON runner_now (client);
    CREATE INDEX ON runner_history (client, position);
    CREATE INDEX ON runner_history (connection, position);
"""
NOW: Final = """INSERT INTO runner_now VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE
    SET client = excluded.client, status = excluded.status, document = excluded.document"""
HISTORY: Final = "INSERT INTO runner_history VALUES (%s, %s, %s, %s, %s, %s)"


class Connection(Aggregate):
    """A connection, about which one claim after the other is said."""

    @event("Began")
    def __init__(self, connection_id: str) -> None:
        self.connection_id = connection_id

    @event("Said")
    def say(self, topic: str, claim: dict[str, Any]) -> None:
        """Take a claim."""


class Views(PostgresTrackingRecorder):
    """Both views; a row of each is written with the position in one transaction."""

    def take(self, tracking: Tracking, topic: str, claim: dict[str, Any]) -> None:
        """Write what a claim changes."""
        client, document = claim["fields"]["clientReferenceId"], json.encode(claim).decode()
        id_, position = claim["connection_id"], tracking.notification_id
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(NOW, (id_, client, claim["status"], document), prepare=True)
            row = (client, position, id_, topic, claim["k"], document)
            cursor.execute(HISTORY, row, prepare=True)


class BothViews(Projection[Views]):
    """Which event changes what."""

    name = "both"
    topics = (get_topic(Connection.Said),)

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Take one event."""
        self.view.take(tracking, domain_event.topic, domain_event.claim)


def save(application: Application[Any], count: int) -> None:
    """Save the first claims of the usual lives, hundreds in a transaction."""
    known: dict[str, Connection] = {}
    claims = islice(logs.claims(), count)
    while some := list(islice(claims, AT_ONCE)):
        for topic, claim in some:
            id_ = claim["connection_id"]
            if id_ not in known:
                known[id_] = Connection(id_)
            known[id_].say(topic=topic, claim=claim)
        application.save(*(known[id_] for id_ in {claim["connection_id"] for _, claim in some}))


def main(url: str, count: int) -> None:
    """Save the events, make the tables, and measure what the runner does with them."""
    environment = library_environment(url)
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)
    with Application[Any](env=environment) as application:
        save(application, count)
        last = application.recorder.max_notification_id()
    began = time.monotonic()
    with ProjectionRunner(
        application_class=Application, projection_class=BothViews, view_class=Views, env=environment
    ) as runner:
        runner.wait(last, timeout=PATIENCE_S)
        sys.stdout.write(f"{time.monotonic() - began}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

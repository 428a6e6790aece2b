"""The same work with SQLAlchemy: unique receipt, state row and audit row in one transaction."""

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from flask import Flask, request
from flask.typing import ResponseReturnValue
from sqlalchemy import JSON, BigInteger, create_engine, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from ledger.ofauth.payloads import Said
from ledger.ofauth.signatures import SignatureError
from tests.benchmarks.rivals.common import DATABASE, THREADS, accept, serve


class Base(DeclarativeBase):
    """The tables."""


class Receipt(Base):
    """One delivery as it came."""

    __tablename__ = "receipts"
    identity: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[float]
    kind: Mapped[str | None]
    body: Mapped[bytes]


class State(Base):
    """What is true of a connection now."""

    __tablename__ = "states"
    connection_id: Mapped[str] = mapped_column(primary_key=True)
    client: Mapped[str | None] = mapped_column(index=True)
    status: Mapped[str | None]
    since: Mapped[int] = mapped_column(BigInteger)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


class Audit(Base):
    """What happened to a connection."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[str] = mapped_column(index=True)
    client: Mapped[str | None] = mapped_column(index=True)
    kind: Mapped[str]
    occurred_at: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[float]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


SQLITE = DATABASE.startswith("sqlite:")
app = Flask(__name__)
engine = create_engine(
    DATABASE if SQLITE else DATABASE.replace("postgresql:", "postgresql+psycopg:", 1),
    pool_size=THREADS,
)
# Beside SQLite's own lock, whose waiters sleep: without this, SQLAlchemy is slower still.
in_turn: AbstractContextManager[object] = threading.Lock() if SQLITE else nullcontext()

if SQLITE:

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


Base.metadata.create_all(engine)


@app.post("/webhooks/ofauth")
def take() -> ResponseReturnValue:
    """Take one delivery: receipt, state and audit together, or none of them."""
    body = request.get_data()
    try:
        identity, reading = accept(request.headers, body)
    except SignatureError:
        return {"error": "signature"}, 401
    receipt = Receipt(identity=identity, received_at=time.time(), kind=reading.type, body=body)
    try:
        with in_turn, Session(engine) as session, session.begin():
            session.add(receipt)
            if reading.said is not None and reading.dated is not None:
                _apply(session, reading.said, reading.dated)
    except IntegrityError:
        return {"id": identity, "repeated": True}
    return {"id": identity}


def _apply(session: Session, said: Said, at: int) -> None:
    details = {**said.fields, **said.personal}
    state = session.get(State, said.connection_id, with_for_update=True)
    if state is None:
        state = State(connection_id=said.connection_id, since=at, details={})
        session.add(state)
    if said.status is not None and said.status != state.status:
        state.status, state.since = said.status, at
    state.client = said.fields.get("clientReferenceId", state.client)
    state.details = {**state.details, **details}
    session.add(
        Audit(
            connection_id=said.connection_id,
            client=state.client,
            kind=said.kind,
            occurred_at=at,
            recorded_at=time.time(),
            details=details,
        )
    )


if __name__ == "__main__":
    serve(app)

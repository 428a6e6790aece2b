"""Canaries for erasing: a person of whom every field is told, and the search for what is left."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ledger.domain.words import account_key
from ledger.ofauth.signatures import Dialect, Secret, sign
from ledger.recorders import sqlite_path
from tests.builders import NOON, SECRET, webhook
from tests.serving import Serving

REFERENCE = "erased/person-1"
CONNECTION = "conn_erased1"
SECOND = "conn_erased2"
OTHER, OTHER_CONNECTION = "other-person", "conn_other1"
STRANGER = Secret("whsec_" + "c3RyYW5nZXItc2VjcmV0LXN0cmFuZ2Vy")
LONG = "canary-long-" * 1500
"""Over a page of any store, so that it is kept in parts."""
CANARIES = ("canary-",)
"""How everything about the person is found."""


def canary(name: str) -> str:
    """A text that is looked for afterwards."""
    return f"canary-{name}-text"


def user(name: str = "name") -> dict[str, Any]:
    """What the provider says about the person, with fields that are not documented."""
    return {
        "id": canary("userid"),
        "name": canary(name),
        "username": canary("username"),
        "avatar": f"https://img.test/{canary('avatar')}.png",
        "biography": LONG,
        canary("key"): canary("value"),
    }


def bodies() -> list[bytes]:
    """Deliveries about the person: readable in every shape, parked, of other kinds, tests."""
    told = {"ref": REFERENCE, "userData": user()}
    first = webhook(connection=CONNECTION, **told, permissions=[canary("permission")])
    strange = webhook(
        "updated", CONNECTION, at=NOON + 1000, status=canary("status"), **told,
        platformUserId=canary("platform"), unknown={"deep": [canary("deep")]},
    )  # fmt: skip
    sdk = webhook("updated", CONNECTION, at=None, ref=None, userData=user("sdkname"))
    flat = {
        "event": "connection.created",
        "timestamp": "2026-01-01T13:00:00Z",
        "data": {"connectionId": SECOND, "userId": canary("flatuser"), "status": "active",
                 "clientReferenceId": REFERENCE, "note": canary("note")},
    }  # fmt: skip
    parked = {"type": "connection.unheard_of", "data": {"about": REFERENCE, "x": canary("parked")}}
    other_kind = {"type": "payment.made", "data": {"by": CONNECTION, "x": canary("payment")}}
    test = {"eventType": "connection.created", "live": False,
            "data": {"clientReferenceId": REFERENCE, "x": canary("test")}}  # fmt: skip
    return [
        first,
        strange,
        sdk,
        webhook("expired", CONNECTION, at=NOON + 2000, ref=None, status="expired"),
        webhook("updated", CONNECTION, at=NOON + 3000, **told, status="active"),
        *(json.dumps(body).encode() for body in (flat, parked, other_kind, test)),
        b'{"clientReferenceId": "%b", "broken": "%b' % (
            REFERENCE.replace("/", "\\/").encode(), canary("broken").encode()),
    ]  # fmt: skip


def deliver_all(serving: Serving) -> None:
    """Deliver everything about the person, and something about others, in two dialects."""
    for number, body in enumerate(bodies()):
        assert serving.deliver(body).status_code == 204
        stamp = int(time.time())
        headers = sign(
            Dialect.SVIX, SECRET, body, stamp=stamp, message_id=f"msg_canary-id-{number}"
        )
        extra = {"User-Agent": canary("agent"), "Content-Type": f"text/{canary('media')}"}
        assert serving.deliver(body, **headers, **extra).status_code == 204
        if number % 2:  # no more than 10 a second are held
            held = sign(Dialect.SVIX, STRANGER, body, stamp=stamp, message_id="msg_held")
            assert serving.deliver(body, **held, **extra).status_code == 401
    for kind, at in (("created", NOON), ("updated", NOON + 5)):
        serving.tell(kind, OTHER_CONNECTION, ref=OTHER, at=at, userData={"name": f"Other {kind}"})
    odd = {"type": "connection.unheard_of", "data": {"about": OTHER}}
    serving.deliver(json.dumps(odd).encode())
    held = sign(Dialect.SVIX, STRANGER, b'{"of": "of-others"}', stamp=stamp, message_id="msg_1")
    serving.deliver(b'{"of": "of-others"}', **held)


ACCOUNTS = tuple(map(canary, ("userid", "platform", "flatuser")))
"""Every account that the person's connections were said to be of."""


def account_keys(serving: Serving) -> tuple[str, ...]:
    """What the views keep of the person's accounts."""
    key = serving.service.services.log.key
    return tuple(account_key(account, key) for account in ACCOUNTS)


def left_in_files(folder: Path, texts: Sequence[str] = CANARIES) -> dict[str, int]:
    """How often each file of a folder holds one of these texts."""
    found = {}
    for file in folder.rglob("*"):
        # One that is closed meanwhile takes the files beside it along.
        with suppress(FileNotFoundError, IsADirectoryError):
            content = file.read_bytes().lower()
            if count := sum(content.count(text.encode()) for text in texts):
                found[file.name] = count
    return found


def left_in_tables(url: str, texts: Sequence[str] = CANARIES) -> dict[str, int]:
    """How many rows of each table of a PostgreSQL database hold one; statistics count too."""
    found = {}
    # bytea is written as hex
    forms = [form for text in texts for form in (text, text.encode().hex())]
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = current_schema()"
        ).fetchall()
        for schema, name in [*tables, ("pg_catalog", "pg_stats")]:
            rows = connection.execute(
                sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(schema, name))
            ).fetchall()
            count = sum(any(form in row[0].lower() for form in forms) for row in rows)
            if count:
                found[name] = count
    return found


def left(url: str, folder: Path, texts: Sequence[str] = CANARIES) -> dict[str, int]:
    """Where these texts are found in a ledger: in files, and in the tables of PostgreSQL."""
    tables = {} if sqlite_path(url) is not None else left_in_tables(url, texts)
    return left_in_files(folder, texts) | tables

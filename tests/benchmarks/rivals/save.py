"""eventsourcing as its documentation shows it: one `Application.save` for each request."""

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import IntegrityError
from flask import Flask, request
from flask.typing import ResponseReturnValue

from ledger.ofauth.signatures import SignatureError
from tests.benchmarks.rivals.common import DATABASE, accept, library_environment, serve


class Receipt(Aggregate):
    """One delivery; its identity is its id, so a repeat is refused."""

    def __init__(self, identity: str, kind: str | None, body: str) -> None:
        self.identity = identity
        self.kind = kind
        self.body = body

    @staticmethod
    def create_id(identity: str, **_: Any) -> UUID:
        """Name the aggregate of a delivery."""
        return uuid5(NAMESPACE_URL, identity)


app = Flask(__name__)
receipts: Application[UUID] = Application(env=library_environment(DATABASE))


@app.post("/webhooks/ofauth")
def take() -> ResponseReturnValue:
    """Take one delivery and save it."""
    body = request.get_data()
    try:
        identity, reading = accept(request.headers, body)
    except SignatureError:
        return {"error": "signature"}, 401
    try:
        receipts.save(Receipt(identity, reading.type, body.decode()))
    except IntegrityError:
        return {"id": identity, "repeated": True}
    return {"id": identity}


if __name__ == "__main__":
    serve(app)

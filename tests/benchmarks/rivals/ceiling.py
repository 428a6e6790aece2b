"""The ceiling of any Flask application: verifies, parses, and stores nothing.

It answers 200 with a body, not 204, after which waitress would close each connection.
"""

from flask import Flask, request
from flask.typing import ResponseReturnValue

from ledger.ofauth.signatures import SignatureError
from tests.benchmarks.rivals.common import accept, serve

app = Flask(__name__)


@app.post("/webhooks/ofauth")
def take() -> ResponseReturnValue:
    """Take one delivery and forget it."""
    try:
        identity, _ = accept(request.headers, request.get_data())
    except SignatureError:
        return {"error": "signature"}, 401
    return {"id": identity}


if __name__ == "__main__":
    serve(app)

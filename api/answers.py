"""What questions about clients and connections answer on the wire, field by field."""

from typing import Any

from marshmallow import fields

from api.schemas import CamelSchema, Micros, Millis


def _said(cls: type[fields.Field[Any]], text: str) -> fields.Field[Any]:
    return cls(metadata={"description": text})


def _maybe(cls: type[fields.Field[Any]], text: str) -> fields.Field[Any]:
    return cls(allow_none=True, metadata={"description": text})


def _list_of(item: type[CamelSchema], text: str) -> fields.Field[Any]:
    return fields.List(fields.Nested(item), metadata={"description": text})


def _texts(text: str, *, maybe: bool = False) -> fields.Field[Any]:
    return fields.List(fields.String(), allow_none=maybe, metadata={"description": text})


class ConnectionSchema(CamelSchema):
    """A connection; facts that nobody stated are null."""

    id = _said(fields.String, "The provider's id; treat it as a credential.")
    client_reference_id = _maybe(fields.String, "Whose it is now.")
    status = _maybe(
        fields.String, "`active`, `awaiting_2fa`, `expired` or `deleted`; null while none was said."
    )
    status_since = _maybe(Millis, "When this status began.")
    permissions = _texts("What the creator granted.", maybe=True)
    user_data = _maybe(fields.Dict, "The creator's account, as the provider last said it, by key.")
    created_at = _maybe(Millis, "When it began.")
    updated_at = _maybe(Millis, "When anything about it last changed.")
    expired_at = _maybe(
        Millis, "When its session ended or will end, as last said of its present status."
    )
    deleted_at = _maybe(Millis, "When the provider removed it.")
    missing_since = _maybe(Millis, "Since when the provider's list lacks it.")
    deletion_requested_at = _maybe(Millis, "When its deletion was asked for through the ledger.")
    expiry_suspected_at = _maybe(Millis, "When a call failed as if its session had ended.")
    imported = _maybe(fields.Boolean, "Whether it was imported; the provider checks those less.")
    last_checked_at = _maybe(Millis, "When the provider last checked its session.")
    last_evidence_at = _maybe(
        Millis, "When it was last confirmed, by evidence or by a pass that found it unchanged."
    )
    last_evidence_source = _maybe(fields.String, "`webhook`, `sweep` or `command`.")
    stale = _said(
        fields.Boolean,
        "Whether it is not deleted and its newest evidence is older than the limit set now.",
    )
    predecessor_id = _maybe(fields.String, "The connection that it was made in place of.")
    successor_id = _maybe(fields.String, "The connection that was made in place of it.")
    duplicate_of = _maybe(
        fields.String,
        "The oldest other live connection of the same upstream account, imported ones left out.",
    )
    flags = _texts(
        "What a reader should know: `inferred`, `ambiguous`, `clock`, `blocked`, … (see the "
        "glossary)."
    )


class LinkReportSchema(CamelSchema):
    """What a browser said of the end of a Link session; it proves nothing."""

    channel = _said(fields.String, "`redirect` or `embed`.")
    status = _said(fields.String, "`success`, `cancelled` or `error`.")
    step = _maybe(
        fields.String, "How far the creator came, in a word that OFAuth documents, or `other`."
    )
    error = _maybe(fields.String, "What failed, in a word that OFAuth documents, or `other`.")
    connection_id = _maybe(fields.String, "The connection that the browser named.")
    reported_at = _said(Millis, "When it reached the ledger.")


class LinkSessionSchema(CamelSchema):
    """A Link session: one hosted login; facts that do not apply are null."""

    link_id = _said(fields.String, "`link_` and 24 hex digits.")
    client_reference_id = _maybe(fields.String, "Whom it is for.")
    connection_id = _maybe(fields.String, "The connection that it is to bring back to life.")
    status = _said(
        fields.String,
        "`pending` while it is open, `completed` once a connection proves it, `failed`, "
        "`cancelled`, or `lapsed` when its time is over.",
    )
    requested_at = _said(Millis, "When it was asked for.")
    requested_by = _said(fields.String, "The name of the token that asked.")
    via = _said(fields.String, "`api`, or `drop_in` for the provider's own route.")
    risk = _maybe(
        fields.String,
        "What may go wrong and was accepted: `unknown_target` or `deleted_target` (the provider "
        "would make another connection), `other_client` (the connection would be given away).",
    )
    return_url = _maybe(fields.String, "Where the browser is sent at the end.")
    started_at = _maybe(Millis, "When the provider had opened it.")
    expires_at = _maybe(Millis, "When it ends, or ended.")
    report = fields.Nested(
        LinkReportSchema,
        allow_none=True,
        metadata={"description": "What a browser said; only the first report is kept."},
    )
    completed_at = _maybe(Millis, "When the connection that proves it came to life.")
    completed_connection_id = _maybe(fields.String, "That connection.")
    failed_at = _maybe(Millis, "When it was recorded that it failed.")
    failure_reason = _maybe(
        fields.String,
        "Why it failed: `unknown_outcome`, `unreachable`, `refused_key`, `forbidden`, "
        "`rate_limited`, `rejected`, `refused`, or `reported` by a browser.",
    )
    cancelled_at = _maybe(Millis, "When a browser said that the creator gave up.")


class ClientSchema(CamelSchema):
    """A client, its connections and its Link sessions."""

    client_reference_id = _said(fields.String, "The reference that names it.")
    status = _maybe(
        fields.String,
        "The best of its connections that are not deleted: `active`, else `awaiting_2fa`, else "
        "`expired`; with none, `pending` while a Link session is open, else `failed`, `cancelled` "
        "or `lapsed` when the last one came to nothing, else `deleted`.",
    )
    connections = _list_of(ConnectionSchema, "Its connections, by creation.")
    link_sessions = _list_of(LinkSessionSchema, "Its Link sessions, by when they were asked for.")
    last_evidence_at = _maybe(Millis, "The newest of its connections.")
    last_evidence_source = _maybe(fields.String, "Of that.")
    stale = _said(fields.Boolean, "Whether one of its connections is.")


class DuplicateGroupSchema(CamelSchema):
    """Live connections of one upstream account, none of them imported."""

    count = _said(fields.Integer, "How many there are.")
    connections = _list_of(ConnectionSchema, "The oldest 500 of them, oldest first.")


class EvidenceSchema(CamelSchema):
    """What states a claim: a delivery, a pass over the list, or a command."""

    position = _maybe(
        fields.Integer,
        "Where it lies in the log; null when behind `asOf`, and of a command: that has no stream.",
    )
    delivery_id = _said(fields.String, "Its stream, or the name of the command.")
    dialect = _maybe(fields.String, "The dialect of a delivery's signature; `sweep`, or `command`.")
    observed_at = _said(Millis, "When it reached the ledger.")


class HistoryEntrySchema(CamelSchema):
    """One thing that happened to a connection."""

    position = _said(fields.Integer, "Of its event in the log.")
    type = _said(fields.String, "What it was, by all that is known now (or was, at `asOf`).")
    recorded_as = _maybe(fields.String, "What it was recorded as, where that differs.")
    connection_id = _said(fields.String, "Which connection.")
    client_reference_id = _maybe(fields.String, "Whose it was.")
    occurred_at = _said(Millis, "When it was so, by the provider's clock.")
    observed_at = _said(Millis, "When the first evidence reached the ledger.")
    recorded_at = _said(Micros, "When it entered the log.")
    source = _said(fields.String, "`webhook`, `sweep` or `command`.")
    late = _said(fields.Boolean, "Whether something that occurred later was recorded before it.")
    summary = _said(fields.String, "One sentence, without ids.")
    data = _said(
        fields.Dict, "`changes` (name to `from` and `to`), the status after it, what was said."
    )
    evidence = _list_of(EvidenceSchema, "All that states it.")

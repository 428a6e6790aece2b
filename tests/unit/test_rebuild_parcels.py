"""What goes from a helper to the process that builds arrives as it was meant."""

from projections.applying import Intent
from projections.base import Write
from projections.batch import Trouble
from projections.deliveries.projection import Deliveries
from projections.history.projection import BIND, UPSERT, History
from projections.rebuild.job import Failed
from projections.rebuild.parcels import encode, pack, unpack
from projections.rebuild.telling import Meant

PROJECTIONS = (Deliveries(), History())


def sent(*intents: Intent) -> list[tuple[object, ...]]:
    """What arrives of these intents."""
    meant = unpack(PROJECTIONS, memoryview(pack(PROJECTIONS, Meant(7, list(intents)))))
    assert isinstance(meant, Meant)
    assert meant.facts == 7
    return [
        (
            one.projection,
            one.stream,
            [(write.statement, [list(row) for row in write.rows]) for write in one.writes],
            one.first_new,
            one.trouble,
            one.was_blocked,
        )
        for one in meant.intents
    ]


def intent(stream: str, *writes: Write, trouble: Trouble | None = None) -> Intent:
    """What the history makes of a stream."""
    return Intent(PROJECTIONS[1], stream, writes, 3, trouble, was_blocked=False)


def test_what_is_meant_arrives() -> None:
    """Rows with their statements, and why a stream is blocked."""
    writes = (
        Write(UPSERT, ("a", 1, None, "é\n", True)),
        Write(BIND, ("a", "b", 2**62), ("b", "c", 0)),
    )
    trouble = Trouble(5, "UnreadableEvent")
    assert sent(intent("one", *writes), intent("other", trouble=trouble)) == [
        (
            PROJECTIONS[1],
            "one",
            [(UPSERT, [["a", 1, None, "é\n", True]]), (BIND, [["a", "b", 2**62], ["b", "c", 0]])],
            3,
            None,
            False,
        ),
        (PROJECTIONS[1], "other", [], 3, trouble, False),
    ]


def test_rows_that_cannot_be_sent_block_their_stream_only() -> None:
    """No database would have taken them either."""
    for value in ("\ud800", 2**64, object()):
        good, bad = (intent(one, Write(BIND, (one, given, 1))) for one, given in
                     (("good", "x"), ("bad", value)))  # fmt: skip
        kept, blocked = sent(bad, good)[::-1]
        assert kept[2] == [(BIND, [["good", "x", 1]])]
        assert blocked[2] == []
        assert isinstance(blocked[4], Trouble)
        assert blocked[4].position == 3
        assert "while it was folded" in blocked[4].reason


def test_a_failure_arrives_as_one() -> None:
    """With its reason."""
    assert unpack(PROJECTIONS, memoryview(encode(Failed("why")))) == Failed("why")

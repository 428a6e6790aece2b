"""The question at the end: what was true, and what was known."""

from api.demo.scene import Scene

ASKED = "23:30"
"""When Noah was not connected and nobody knew it."""


def audit(scene: Scene) -> None:
    """The whole history of a client, and one moment of it by both clocks."""
    scene.tell.step(f"Was Noah connected at {ASKED}, and did we know it?")
    scene.show_history(
        "noah",
        scene.program.history("noah"),
        *("created", "expired", "created", "forked", "forked", "deletion_requested", "deleted"),
    )
    moment, known = scene.at(ASKED), scene.before_the_pass
    then = scene.program.client("noah", validAt=moment, asOf=known)["status"]
    now = scene.program.client("noah", validAt=moment)["status"]
    scene.check("what was true, by both clocks", ("active", "expired"), (then, now))
    scene.tell.answers(
        [
            ("asked before the pass", then, f"?validAt=…{ASKED}&asOf=…{known[11:19]}"),
            ("asked now", now, f"?validAt=…{ASKED}"),
        ]
    )
    scene.tell.note("Both answers stay: what was true, and what you could know when you acted.")


def agree(scene: Scene) -> None:
    """The ledger's answers and OFAuth's list are the same."""
    gone = dict.fromkeys(scene.replaced.values(), "deleted")
    scene.check("the comparison", scene.provider.truth() | gone, scene.program.statuses())
    scene.tell.paragraph("\n✓  The ledger and OFAuth's own list agree.", style="bold green")

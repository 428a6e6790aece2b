"""Yesterday's webhooks: doubled, late, broken and forged."""

import json

from api.demo.scene import Scene


def come_twice(scene: Scene) -> None:
    """Two creators connect; of one of them OFAuth tells twice."""
    scene.tell.step("Two creators connect, and a webhook comes twice")
    scene.create("noah", "09:00", "Noah connects. OFAuth signs its webhook in its documented way.")
    before = scene.stage.settle()
    scene.provider.sign_like("svix")
    scene.provider.faults(duplicate=1)
    scene.create(
        "lena", "09:10", "Lena connects. This one is signed in Svix's way, and sent twice."
    )
    scene.check("the webhook that is sent twice", 2, scene.stage.settle() - before)
    scene.provider.faults()
    scene.provider.sign_like("documented")
    scene.show_status(noah=("active", "09:00"), lena=("active", "09:10"))
    scene.show_history("lena", scene.program.history("lena"), "created")
    scene.tell.note("One entry: the copy was recognised.")


def come_late(scene: Scene) -> None:
    """A webhook gets stuck and comes after a newer one, which is understood anew by it."""
    scene.tell.step("A webhook comes late, after a newer one")
    stuck = "Lena's session expires, but this webhook gets stuck."
    scene.act("lena", "expire", "13:00", stuck, hold=True)
    scene.act(
        "lena",
        "reconnect",
        "14:00",
        "She logs in again and grants one permission more. This webhook arrives.",
        permissions=["profile:read", "messages:read", "messages:write"],
    )
    scene.stage.settle(keep_held=True)
    scene.show_status(lena=("active", "09:10"))
    scene.stage.settle()
    scene.tell.note("Nobody has told the ledger of 13:00 yet. Now that webhook comes through.")
    scene.show_status(lena=("active", "14:00"))
    entries = scene.program.history("lena")
    scene.show_history("lena", entries, "created", "expired", "reconnected")
    marks = [(one["late"], one["recordedAs"]) for one in entries[1:]]
    scene.check("what came late", [(True, None), (False, "connection.updated")], marks)


def be_distrusted(scene: Scene) -> None:
    """What is signed and broken is kept; what nobody signed is refused."""
    scene.tell.step("One webhook cannot be read, and one is forged")
    torn = b'{"type":"connection.updated","timestamp":"' + scene.at("15:00").encode()
    scene.tell.happened("15:00", "A webhook with OFAuth's signature breaks off in mid-sentence.")
    kept = scene.stage.deliver(torn)
    parked = [one["reason"] for one in scene.program.parked()]
    scene.tell.answers([(str(kept), f"kept as it came, and parked: {', '.join(parked)}")])
    scene.check("the torn webhook", (204, ["not_json"]), (kept, parked))
    forged = {
        "type": "connection.disconnected",
        "timestamp": scene.at("16:00"),
        "data": {"connection": {"id": scene.connections["noah"], "status": "active"}},
    }
    scene.tell.happened("16:00", "A stranger claims that Noah has left.")
    refused = scene.stage.deliver(json.dumps(forged).encode(), secret=scene.stranger)
    scene.tell.answers([(str(refused), "refused: no secret of ours made this signature")])
    scene.check("the forged webhook", 401, refused)
    scene.show_status(noah=("active", "09:00"))

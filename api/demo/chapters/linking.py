"""Link sessions: a creator connects with a 2FA code, another one reconnects."""

from contextlib import closing
from typing import Final

from api.demo.browser import Browser
from api.demo.scene import NOW, Scene

TYPING_S: Final = 1.0
"""How long Mia takes to enter her code, in seconds. Two statuses told within a second of each other
are flagged `ambiguous`, and nobody types so fast."""


def connect(scene: Scene) -> None:
    """Mia gets a link, logs in at OFAuth, enters a code, and is connected."""
    scene.tell.step("Mia connects through Link, with a 2FA code")
    scene.tell.happened(NOW, "Your program asks the ledger for a link, and gives it to Mia.")
    begun = scene.program.begin_link("mia")
    link = scene.program.link(begun["linkId"])
    scene.program.catch_up()
    mia = scene.program.client("mia")
    scene.tell.answers([("mia", mia["status"], begun["url"])])
    scene.check("the new session", ("pending", "pending"), (mia["status"], link["status"]))
    with closing(Browser()) as browser:
        scene.tell.happened(
            NOW, "She opens it and logs in on OFAuth's page, which asks for a code."
        )
        browser.open(begun["url"])
        browser.press("Continue")
        browser.press("Allow")
        browser.press("Log in and be asked for a 2FA code", username="mia")
        scene.check("the page of the code", "Enter your code", browser.text)
        scene.stage.settle()
        scene.show_status(mia=("awaiting_2fa", NOW))
        scene.tell.happened(NOW, "She enters it, and OFAuth sends her browser back to the ledger.")
        scene.program.follow(TYPING_S)
        browser.press("Confirm", code="123456")
        scene.came_back(browser)
    link = scene.finished(begun["linkId"])
    scene.connections["mia"] = link["completedConnectionId"]
    mia = scene.program.client("mia")
    scene.tell.answers(
        [
            scene.state("mia", mia),
            ("her link", link["status"], "proved by OFAuth's webhook; a browser proves nothing"),
        ]
    )
    scene.check("the state", ("active", NOW), scene.status(mia))
    reported = (link["report"]["status"], [one["id"] for one in mia["connections"]])
    scene.check("the browser's report", ("success", [scene.connections["mia"]]), reported)
    entries = scene.program.history("mia")
    scene.show_history("mia", entries, "created", "activated")
    last = (entries[-1]["source"], entries[-1]["occurredAt"])
    scene.check("the proof", ("webhook", link["completedAt"]), last)


def reconnect(scene: Scene) -> None:
    """Lena's session expires, and a link for her connection brings it back to life."""
    scene.tell.step("Lena's session expires, and she reconnects")
    scene.act("lena", "expire", "22:00", "Lena's session expires. This time the webhook arrives.")
    scene.stage.settle()
    scene.show_status(lena=("expired", "22:00"))
    scene.tell.happened(NOW, "Your program asks for a link to reconnect her; she logs in again.")
    link = scene.reconnect("lena")
    lena = scene.program.client("lena")
    scene.tell.answers(
        [
            scene.state("lena", lena),
            ("her link", link["status"], "in the same connection as before"),
        ]
    )
    scene.check("the state", ("active", NOW), scene.status(lena))
    hers, ended = scene.connections["lena"], link["completedConnectionId"]
    found = (ended, [one["id"] for one in lena["connections"]])
    scene.check("the connection that is reconnected", (hers, [hers]), found)
    last = scene.program.history("lena")[-1]["type"]
    scene.check("the last entry of the history", "connection.reconnected", last)

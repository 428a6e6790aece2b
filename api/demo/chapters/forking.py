"""A reconnect that ends in another connection, and how the old one is got rid of."""

from api.demo.scene import NOW, Scene

REASON = "replaced by the new one"


def fork(scene: Scene) -> None:
    """OFAuth makes another connection instead of reviving the one that was meant."""
    scene.tell.step("Noah reconnects, and comes back with another connection")
    scene.check("the duplicates before", [], scene.program.duplicates())
    scene.tell.happened(NOW, "Your program asks for a link to reconnect him; he logs in again.")
    scene.tell.note("OFAuth does not find his connection, and makes another one without a word.")
    old = scene.connections["noah"]
    scene.provider.faults(fork=1)
    link = scene.reconnect("noah")
    scene.provider.faults()
    new = link["completedConnectionId"]
    scene.replaced["noah"], scene.connections["noah"] = old, new
    before, after = scene.program.connection(old), scene.program.connection(new)
    names = {old: "the old one", new: "the new one"}
    succeeded, preceded = names.get(before["successorId"]), names.get(after["predecessorId"])
    scene.tell.answers(
        [
            ("the old one", before["status"], f"forked: its successor is {succeeded}"),
            ("the new one", after["status"], f"forked: its predecessor is {preceded}"),
        ]
    )
    scene.check("the fork", ("the new one", "the old one"), (succeeded, preceded))
    statuses = (before["status"], after["status"])
    scene.check("the state of both", ("expired", "active"), statuses)
    for one in (old, new):
        types = [entry["type"] for entry in scene.program.connection_history(one)]
        scene.check("the fork in the history", 1, types.count("connection.forked"))


def delete(scene: Scene) -> None:
    """The account is billed twice, until the deletion of one connection is proved."""
    scene.tell.step("His account is connected twice, so the old connection is deleted")
    scene.tell.happened(NOW, "Your program asks for duplicates.")
    old, new = scene.replaced["noah"], scene.connections["noah"]
    groups = scene.program.duplicates()
    found = [[one["id"] for one in group["connections"]] for group in groups]
    statuses = [one["status"] for group in groups for one in group["connections"]]
    counted = f"with {sum(group['count'] for group in groups)} connections, each of them billed"
    scene.tell.answers([(f"{len(groups)} account", counted, f"({', '.join(statuses)})")])
    scene.check("the duplicates", [[old, new]], found)
    scene.tell.happened(
        NOW, "It has the old one deleted; the ledger asks OFAuth until that is proved."
    )
    asked = scene.program.delete(old, REASON)["deletionRequestedAt"]
    scene.check("the request", True, asked is not None)
    scene.program.until(
        "the proof of the deletion",
        lambda: scene.program.connection_history(old),
        lambda known: any(_is_proof(one["data"]["status"], one["source"]) for one in known),
    )
    scene.stage.settle()
    entries = scene.program.connection_history(old)
    ending = [one for one in entries if one["type"].startswith("connection.delet")]
    scene.show_history("the old one", ending, "deletion_requested", "deleted")
    said = ending[0]["data"]
    scene.check("who asked, and why", ("demo", REASON), (said["requestedBy"], said["reason"]))
    state = (scene.program.connection(old)["status"], scene.program.duplicates())
    scene.check("the state afterwards", ("deleted", []), state)
    scene.tell.answers([("duplicates", "none any more")])


def _is_proof(status: str | None, source: str) -> bool:
    return status == "deleted" and source == "command"

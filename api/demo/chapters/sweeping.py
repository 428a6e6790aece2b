"""What no webhook told, found in OFAuth's list."""

from api.demo.scene import NOW, Scene


def repair(scene: Scene) -> None:
    """A webhook is lost, the answer is wrong, and a pass over the list repairs it."""
    scene.tell.step("A webhook is lost, and a pass over OFAuth's list repairs it")
    scene.provider.faults(drop=1)
    scene.act("noah", "expire", "23:00", "Noah's session expires. This webhook is never sent.")
    scene.provider.faults()
    scene.stage.settle()
    scene.show_status(noah=("active", "09:00"))
    listed = scene.provider.truth()[scene.connections["noah"]]
    scene.check("the status in OFAuth's list", "expired", listed)
    scene.tell.note(f"That is wrong: OFAuth's list says {listed}. No webhook will ever tell.")
    scene.tell.happened(NOW, "The ledger reads the list, as it does every few minutes.")
    told = scene.program.sweep()
    scene.program.catch_up()
    scene.before_the_pass = told["startedAt"]
    counted = f"{told['connections']} connections listed, {told['repairs']} repair"
    scene.tell.answers([(told["state"], f"{counted}: a change that no webhook had told")])
    ended = (told["state"], told["connections"], told["repairs"])
    scene.check("the pass over the list", ("valid", len(scene.connections), 1), ended)
    scene.show_status(noah=("expired", "23:00"))

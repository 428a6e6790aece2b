"""The story: the lives of three creators' connections, chapter by chapter."""

from collections.abc import Callable, Sequence
from typing import Final

from api.demo.chapters import auditing, forking, linking, sweeping, webhooks
from api.demo.scene import Scene

CHAPTERS: Final[Sequence[Callable[[Scene], None]]] = (
    webhooks.come_twice,
    webhooks.come_late,
    webhooks.be_distrusted,
    linking.connect,
    linking.reconnect,
    sweeping.repair,
    forking.fork,
    forking.delete,
    auditing.audit,
    auditing.agree,
)


def perform(scene: Scene) -> None:
    """Tell everything.

    Raises:
        NotTrue: the service answered otherwise than it should.
        StageError: it did not answer at all.
    """
    # the pass of the service's start counts no repairs: it must not be the one of the story
    scene.program.await_first_pass()
    for chapter in CHAPTERS:
        chapter(scene)

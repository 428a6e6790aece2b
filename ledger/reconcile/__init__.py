"""One pass over the provider's list: pages in, claims recorded, absences and repairs told.

Nothing here sleeps, starts a thread or reads a clock of its own; whoever calls decides when.
"""

from ledger.reconcile.sweep import (
    Known,
    PassResult,
    Provider,
    Sweep,
    SweepRunning,
    new_holder,
    new_pass,
)

__all__ = ["Known", "PassResult", "Provider", "Sweep", "SweepRunning", "new_holder", "new_pass"]

"""Whether OFAuth can be asked, and whether the key is that of the organisation that is known."""

from typing import Final

from api.checks.finding import Finding, failed, well
from ledger.ofauth.client import OFAuthClient
from ledger.ofauth.errors import ProviderError

CHECK: Final = "provider"


def check_provider(client: OFAuthClient, ours: str | None) -> Finding:
    """Ask OFAuth whose key it is; `ours` is whose list passes have read, None before the first."""
    try:
        whose = client.whoami()
    except ProviderError as error:
        return failed(CHECK, "OFAuth did not say whose key it is.", str(error))
    if ours not in (None, whose.id):
        advice = "Set the key with which the ledger began: no pass is made with another's."
        return failed(CHECK, "The key is another organisation's than that of the passes.", advice)
    return well(CHECK, "OFAuth answers, and knows the key")

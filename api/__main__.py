"""`python -m api`: the same as `connection-ledger`."""

from api.cli import main

main()

"""What the oracle is tested with: invariants of its books, and random programs.

The oracle itself is `imprest_client.testing.ledger`: an independent, slow and plain model of Imprest, which also stands
behind the fake that users of the client library test with.
"""

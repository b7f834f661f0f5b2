"""The rules of the ledger, pure: values and `now` in, a decision out. Read `decide` first.

Every rule has the same shape: `rule(ledger, request, operation, now) -> Reply`. It raises a denial before it
changes anything, drafts on a copy of the book, and writes into the `Ledger` last.
"""

from imprest_server.ledger.rules.decide import Outcome, decide
from imprest_server.ledger.rules.expiry import expire_due
from imprest_server.ledger.rules.usage import bases

__all__ = ["Outcome", "bases", "decide", "expire_due"]

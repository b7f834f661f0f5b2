"""For the tests of programs that use the client library: an Imprest in memory.

async with FakeImprest() as server, AdminClient(server.target, currency="USD") as admin:
await admin.create_account("acme")
"""

from imprest_client.testing.fake import FakeImprest
from imprest_client.testing.ledger import UnitPrice

__all__ = ["FakeImprest", "UnitPrice"]

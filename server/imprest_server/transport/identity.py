"""Who calls. Until callers are identified the server listens on loopback only, and serves one tenant."""

from __future__ import annotations

from typing import Final

from imprest_server.core.ids import TenantId

TENANT: Final = TenantId("default")

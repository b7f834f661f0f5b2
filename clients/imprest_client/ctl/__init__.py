"""`imprestctl`, the admin's command line. Start at `app`; docs/IMPRESTCTL.md shows every command."""

from imprest_client.ctl.app import main

__all__ = ["main"]

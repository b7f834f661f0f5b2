"""The `imprest` command, also where only the client library was installed: then it says what is missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, if what it needs is there."""
    try:
        from imprest_server import cli
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "imprest_server":
            raise
        sys.exit(
            f"imprest: the server is not installed ({error.name} is missing), only the client library; "
            "install it with  pip install 'imprest-ledger[server]'"
        )
    cli.main()

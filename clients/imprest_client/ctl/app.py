"""`imprestctl`, put together: a file of `groups` for each group of commands."""

from __future__ import annotations

import sys
import traceback
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from imprest_client.ctl.command import signature, take_common
from imprest_client.ctl.failures import ExitCode, Failure
from imprest_client.ctl.groups import (
    accounts,
    alerts,
    balance,
    budgets,
    channels,
    credit,
    explain,
    funds,
    plans,
    profiles,
    quote,
    refund,
    rerate,
    reservations,
    statement,
    subscriptions,
    trial_balance,
    true_up,
)
from imprest_client.ctl.output import Format, Output
from imprest_client.ctl.values import parse_zone

GROUPS = (
    accounts,
    balance,
    credit,
    funds,
    statement,
    reservations,
    refund,
    true_up,
    explain,
    trial_balance,
    rerate,  # and all of `prices`, whose last command it is
    quote,
    plans,
    subscriptions,
    budgets,
    alerts,
    channels,
    profiles,
)

HELP = """Look after the accounts of an Imprest server: their credit, holds, statements, prices, plans and budgets.

The server is --address, IMPRESTCTL_ADDRESS, or a profile's; without any of them 127.0.0.1:7400.
"""

app = typer.Typer(
    name="imprestctl",
    help=HELP,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _root(ctx: typer.Context, version_: bool = False, **given: Any) -> None:
    ctx.obj = take_common(ctx, given)
    if version_:
        sys.stdout.write(f"imprestctl {version('imprest-ledger')}\n")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        ctx.get_help()  # which writes it
        raise typer.Exit


signature(_root, {"version_": (Annotated[bool, typer.Option("--version", help="Show the version.")], False)})
app.callback()(_root)
for group in GROUPS:
    app.add_typer(group.app)


def main() -> None:
    """Run `imprestctl`. Every failure is told on standard error, and by the exit code (docs/IMPRESTCTL.md)."""
    try:
        code = app(standalone_mode=False)
    except TyperException as error:  # the parser's: what was typed is no command
        path = getattr(getattr(error, "ctx", None), "command_path", "imprestctl")
        failure = Failure(ExitCode.USAGE, "USAGE", error.format_message(), f"`{path} --help` tells how")
        form = Format.JSON if "--json" in sys.argv else Format.TABLE
        Output(form, parse_zone("UTC")).fail(failure)
        code = int(failure.exit_code)
    except Exception:  # noqa: BLE001 - a bug of ours must not look like a denial
        traceback.print_exc()
        code = int(ExitCode.BROKEN)
    sys.exit(code)

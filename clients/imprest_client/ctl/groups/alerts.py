"""`imprestctl alerts`: what has happened, and what is happening."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from imprest_client.budget_model import AlertKind, AlertLevel
from imprest_client.ctl.budget_rows import ALERT, ALERT_LINE, ALERT_RECEIPT
from imprest_client.ctl.command import Key, Limit, command, group_command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.session import Session
from imprest_client.ctl.token_file import TokenFile
from imprest_client.ctl.values import choices, parse_choice, parse_instant

app = typer.Typer(name="alerts", help="Alerts: list, ack; --follow shows them as they happen.")

Account = Annotated[str, typer.Option(help="Only those of this account.", metavar="ACCOUNT")]
Level = Annotated[
    str,
    typer.Option(
        help="Only this level and above: info, warning, critical, emergency.",
        autocompletion=lambda: choices(AlertLevel),
    ),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        help="Only this kind, such as low-balance; can be given several times.",
        autocompletion=lambda: choices(AlertKind),
    ),
]


@group_command(app)
def follow(
    session: Session,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Show alerts as they happen, until Ctrl-C.")] = False,
    account: Account = "",
    level: Level = "",
    kind: Kinds = None,
    since: Annotated[str, typer.Option(help="Begin at this time: a date, a time, 12h. Default: now.")] = "",
    resume_token: Annotated[str, typer.Option(help="Go on after the message with this token.", metavar="TOKEN")] = "",
    token_file: Annotated[
        str, typer.Option(help="Go on where the last run with this file ended, and keep it up to date.", metavar="PATH")
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="End after so many alerts; 0: never.")] = 0,
) -> None:
    """Show alerts as they happen, a line each: `imprestctl alerts --follow`."""
    if not follow_:
        raise UsageError("say --follow, or list or ack", hint="`imprestctl alerts --help` tells how")
    stored = TokenFile(Path(token_file)) if token_file else None
    begun = resume_token or (stored.read() if stored else "")
    if since and resume_token:
        raise UsageError("--since and --resume-token are two beginnings: give one of them")
    alerts = session.budgets.alerts(
        resume_token=begun,
        start_time=_since(session, since) if since and not begun else None,
        account_id=account,
        min_level=parse_choice(AlertLevel, level, "level") if level else None,
        kinds=_kinds(kind),
    )
    line = session.out.lines(ALERT_LINE)
    shown = begun
    try:
        with alerts:
            alerts.begin(session.settings.timeout_s)
            shown = alerts.token
            if stored and shown:
                stored.write(shown)
            for count, alert in enumerate(alerts, start=1):
                line(alert, alerts.token)
                # Only now: an alert that was taken but not shown when Ctrl-C came has to come again.
                shown = alerts.token
                if stored:
                    stored.write(shown)
                if count == limit:
                    break
    except KeyboardInterrupt:  # how this is meant to end
        if stored and shown:
            stored.write(shown)
    if shown:
        session.out.note(f"go on with --resume-token {shown}")


@command(app, "list")
def list_(
    session: Session,
    account: Account = "",
    budget: Annotated[str, typer.Option(help="Only those of this budget.", metavar="BUDGET")] = "",
    level: Level = "",
    kind: Kinds = None,
    since: Annotated[str, typer.Option(help="Only from this time on: a date, a time, 7d.", metavar="TIME")] = "",
    until: Annotated[str, typer.Option(help="Only before this time; a date is included.", metavar="TIME")] = "",
    open_: Annotated[bool, typer.Option("--open", help="Only those that nobody has acknowledged.")] = False,
    limit: Limit = None,
) -> None:
    """List alerts, newest first."""
    zone, now = session.settings.zone, session.now()
    found = session.budgets.list_alerts(
        account_id=account,
        budget_id=budget,
        min_level=parse_choice(AlertLevel, level, "level") if level else None,
        kinds=_kinds(kind),
        start_time=_since(session, since) if since else None,
        end_time=parse_instant(until, zone, now, end_of_day=True) if until else None,
        unacknowledged=open_,
        page_size=1000,
    )
    session.out.many(ALERT, found, limit=limit, nothing="no alerts")


@command(app, "ack")
def ack(
    session: Session,
    alert: Annotated[str, typer.Argument(metavar="ALERT", help="The alert's id, alt_…")],
    by: Annotated[str, typer.Option(help="Who has seen it.", metavar="NAME")] = "",
    key: Key = None,
) -> None:
    """Note that somebody has seen an alert. The first one counts."""
    answer = session.budgets.acknowledge_alert(alert, acknowledged_by=by, idempotency_key=session.new_key(key))
    session.receipt(ALERT_RECEIPT, answer, "The alert is acknowledged.")


def _since(session: Session, text: str) -> datetime:
    return parse_instant(text, session.settings.zone, session.now())


def _kinds(texts: list[str] | None) -> list[AlertKind]:
    return [parse_choice(AlertKind, text, "kind of alert") for text in texts or []]

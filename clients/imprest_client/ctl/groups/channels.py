"""`imprestctl channels`: where alerts are delivered to, and what became of them there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from imprest_client.budget_model import AlertKind, AlertLevel
from imprest_client.channel_model import ChannelKind, DeliveryState
from imprest_client.ctl.channel_rows import (
    CHANNEL,
    CHANNEL_LIST,
    CHANNEL_RECEIPT,
    DELETE_CHANNEL_RECEIPT,
    DELIVERY,
    DELIVERY_RECEIPT,
    TEST,
)
from imprest_client.ctl.command import Key, Limit, Yes, command
from imprest_client.ctl.failures import CtlError, ExitCode, UsageError
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import choices, parse_choice

app = typer.Typer(
    name="channels",
    help="Channels, where alerts are delivered to: webhooks, Slack, email; and what became of each delivery.",
)

# A receiver may take 10 seconds to answer.
_TEST_TIMEOUT_S = 20.0
ALL = "all"

ChannelId = Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's id.")]
Name = Annotated[str | None, typer.Option(help="A name for people.")]
Webhook = Annotated[
    str, typer.Option(help="A webhook gets them: its URL; - asks for it, or reads standard input.", metavar="URL")
]
Slack = Annotated[
    str,
    typer.Option(
        help="Slack gets them: a file with its URL, which is a secret; - asks for it, or reads standard input.",
        metavar="PATH",
    ),
]
Email = Annotated[
    list[str] | None,
    typer.Option(help="This address gets them by email; can be given several times.", metavar="ADDRESS"),
]
Level = Annotated[
    str,
    typer.Option(
        help="Only this level and above: info, warning, critical, emergency; or all.",
        autocompletion=lambda: [*choices(AlertLevel), ALL],
    ),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        help="Only this kind, such as low-balance; can be given several times; or all.",
        autocompletion=lambda: [*choices(AlertKind), ALL],
    ),
]
Account = Annotated[str, typer.Option(help="Only those of this account; or all.", metavar="ACCOUNT")]


class NotDelivered(CtlError):
    """A test has not arrived."""

    exit_code = ExitCode.DENIED
    reason = "NOT_DELIVERED"


@command(app, "list")
def list_(session: Session, limit: Limit = None) -> None:
    """List channels in the order of their ids."""
    session.out.many(CHANNEL_LIST, session.channels.list_channels(page_size=1000), limit=limit, nothing="no channels")


@command(app, "show")
def show(session: Session, channel: ChannelId) -> None:
    """Show a channel. Its secrets are never shown."""
    session.out.one(CHANNEL, session.channels.get_channel(channel))


@command(app, "create")
def create(
    session: Session,
    channel: Annotated[str, typer.Argument(metavar="[CHANNEL]", help="Its id. Default: the server makes one.")] = "",
    webhook: Webhook = "",
    slack: Slack = "",
    email: Email = None,
    name: Name = None,
    level: Level = "",
    kind: Kinds = None,
    account: Account = "",
    key: Key = None,
) -> None:
    """Have alerts delivered from now on. A webhook's signing secret is shown this once: keep it."""
    receiver = _receiver(webhook, slack, email)
    if receiver is None:
        raise UsageError("who gets the alerts?", hint="give --webhook, --slack or --email")
    receiver_kind, url, recipients = receiver
    answer = session.channels.create_channel(
        channel,
        kind=receiver_kind,
        url=url,
        recipients=recipients,
        display_name=name or "",
        min_level=_level(level),
        kinds=_kinds(kind),
        account_id="" if account == ALL else account,
        idempotency_key=session.new_key(key),
    )
    channel_id = answer.channel.channel_id
    session.receipt(CHANNEL_RECEIPT, answer, f"Channel {channel_id} gets the alerts from now on.")
    _tell_secret(session, receiver_kind, channel_id, answer.signing_secret)


@command(app, "update")
def update(
    session: Session,
    channel: ChannelId,
    webhook: Webhook = "",
    slack: Slack = "",
    email: Email = None,
    name: Name = None,
    level: Level = "",
    kind: Kinds = None,
    account: Account = "",
    disable: Annotated[
        bool | None, typer.Option("--disable/--enable", help="It gets no alerts; what comes meanwhile is left out.")
    ] = None,
    key: Key = None,
) -> None:
    """Change a channel, for alerts from now on; what is not given stays."""
    receiver = _receiver(webhook, slack, email)
    if receiver is None and (name, level, kind, account, disable) == (None, "", None, "", None):
        raise UsageError("there is nothing to change", hint="imprestctl channels update --help lists the settings")
    before = session.channels.get_channel(channel)
    if receiver is not None and receiver[0] is not before.kind:
        raise UsageError(
            f"{channel} is a channel of kind {before.kind.lower()}, for ever", hint="create another channel"
        )
    _, url, recipients = receiver or (before.kind, before.url, before.recipients)
    settings: dict[str, Any] = {
        "display_name": before.display_name if name is None else name,
        "min_level": _level(level) if level else before.min_level,
        "kinds": before.kinds if kind is None else _kinds(kind),
        "account_id": ("" if account == ALL else account) if account else before.account_id,
        "disabled": before.disabled if disable is None else disable,
    }
    answer = session.channels.update_channel(
        channel, url=url, recipients=recipients, **settings, idempotency_key=session.new_key(key)
    )
    session.receipt(CHANNEL_RECEIPT, answer, f"Changed {channel}.")


@command(app, "delete")
def delete(session: Session, channel: ChannelId, key: Key = None, yes: Yes = False) -> None:
    """Delete a channel with the log of its deliveries. What is waiting to be sent is not sent."""
    session.confirm(f"Delete channel {channel} with the log of its deliveries?", yes)
    answer = session.channels.delete_channel(channel, idempotency_key=session.new_key(key))
    session.receipt(DELETE_CHANNEL_RECEIPT, answer, f"Channel {channel} is deleted.")


@command(app, "rotate")
def rotate(session: Session, channel: ChannelId, key: Key = None, yes: Yes = False) -> None:
    """Give a webhook a new signing secret, and show it this once. For 24 hours the old one signs, too."""
    session.confirm(f"Give {channel} a new signing secret? After 24 hours only that one signs.", yes)
    answer = session.channels.rotate_channel_secret(channel, idempotency_key=session.new_key(key))
    session.receipt(CHANNEL_RECEIPT, answer, f"{channel} has a new signing secret.")
    _tell_secret(session, answer.channel.kind, channel, answer.signing_secret)


@command(app, "test")
def test(session: Session, channel: ChannelId) -> None:
    """Send an alert that is marked as a test, now and once, and tell how that ended."""
    client = session.channels.with_timeout(max(_TEST_TIMEOUT_S, session.settings.timeout_s))
    result = client.test_channel(channel)
    if not result.delivered:
        raise NotDelivered(f"the test has not reached {channel}: {result.detail}")
    session.out.say(f"The test has reached {channel}.")
    session.out.one(TEST, result)


@command(app, "deliveries")
def deliveries(
    session: Session,
    channel: Annotated[str, typer.Argument(metavar="[CHANNEL]", help="Only those of this channel.")] = "",
    state: Annotated[
        str,
        typer.Option(
            help="Only those that are pending, delivered or dead (given up).",
            autocompletion=lambda: choices(DeliveryState),
        ),
    ] = "",
    limit: Limit = None,
) -> None:
    """List what became of alerts on channels, those of the newest alerts first."""
    found = session.channels.list_deliveries(
        channel_id=channel,
        state=parse_choice(DeliveryState, state, "state") if state else None,
        page_size=1000,
    )
    session.out.many(DELIVERY, found, limit=limit, nothing="no deliveries")


@command(app, "resend")
def resend(
    session: Session,
    channel: ChannelId,
    alert: Annotated[str, typer.Argument(metavar="ALERT", help="The alert's id, alt_…")],
    key: Key = None,
) -> None:
    """Send an alert to a channel again, whatever has become of it there, with as many tries as a new one."""
    answer = session.channels.resend_delivery(channel, alert, idempotency_key=session.new_key(key))
    session.receipt(DELIVERY_RECEIPT, answer, f"The alert is sent to {channel} again.")


def _receiver(webhook: str, slack: str, email: Sequence[str] | None) -> tuple[ChannelKind, str, tuple[str, ...]] | None:
    """What kind of receiver was given, with its URL and addresses; None when none was."""
    if sum(map(bool, (webhook, slack, email))) > 1:
        raise UsageError("--webhook, --slack and --email are three kinds of channels: give one of them")
    if webhook:
        return ChannelKind.WEBHOOK, _secret() if webhook == "-" else webhook, ()
    if slack:
        if "://" in slack:
            raise UsageError(
                "Slack's URL is a secret, and others on this machine can see it here",
                hint="--slack takes the name of a file that has it, or - to be asked for it",
            )
        return ChannelKind.SLACK, _secret() if slack == "-" else _first_line(slack), ()
    return (ChannelKind.EMAIL, "", tuple(email)) if email else None


def _secret() -> str:
    if sys.stdin.isatty():
        answer: str = typer.prompt("URL", hide_input=True, err=True)
    else:
        answer = sys.stdin.readline()
    if not answer.strip():
        raise UsageError("there was no URL on standard input")
    return answer.strip()


def _first_line(path: str) -> str:
    try:
        lines = Path(path).read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', 'it is no text')}") from error
    if not lines[0].strip():
        raise UsageError(f"there is no URL in the first line of {path}")
    return lines[0].strip()


def _level(text: str) -> AlertLevel | None:
    return None if text in ("", ALL) else parse_choice(AlertLevel, text, "level")


def _kinds(texts: Sequence[str] | None) -> list[AlertKind]:
    return [] if texts == [ALL] else [parse_choice(AlertKind, text, "kind of alert") for text in texts or ()]


def _tell_secret(session: Session, kind: ChannelKind, channel_id: str, secret: str) -> None:
    if kind is not ChannelKind.WEBHOOK:
        return
    if secret:
        session.out.say("Keep the signing secret: it is not shown again.")
    else:
        session.out.say(f"Its secret was shown then; `imprestctl channels rotate {channel_id}` makes a new one.")

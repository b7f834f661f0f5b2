"""`imprestctl subscriptions`: who has which plan, and what is charged every month."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import AccountId, Key, Limit, Yes, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.groups.plans import Lines, NoSuchThing
from imprest_client.ctl.plan_rows import SUBSCRIPTION, SUBSCRIPTION_RECEIPT
from imprest_client.ctl.session import Session
from imprest_client.ctl.usage import parse_line
from imprest_client.ctl.values import parse_instant, when
from imprest_client.pricing_model import Subscription

app = typer.Typer(name="subscriptions", help="Subscriptions, what is charged every month: list, show, create, cancel.")

SubscriptionId = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="The subscription's id, sub_…")]


@command(app, "list")
def list_(
    session: Session,
    account: Annotated[str, typer.Option(help="Only those of this account.", metavar="ACCOUNT")] = "",
    limit: Limit = None,
) -> None:
    """List subscriptions, oldest first; ended ones, too."""
    found = session.pricing.list_subscriptions(account_id=account, page_size=1000)
    session.out.many(SUBSCRIPTION, found, limit=limit, nothing="no subscriptions")


@command(app, "show")
def show(session: Session, subscription: SubscriptionId) -> None:
    """Show a subscription."""
    session.out.one(SUBSCRIPTION, _get(session, subscription))


@command(app, "create")
def create(
    session: Session,
    account: AccountId,
    plan: Annotated[str, typer.Option(help="Subscribe to this plan.", metavar="PLAN")] = "",
    line: Lines = None,
    since: Annotated[
        str, typer.Option("--from", help="When it begins: a date, a time, 7d; at most 35 days ago.", metavar="TIME")
    ] = "",
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Subscribe an account to a plan, to monthly lines of its own (such as a phone number), or both.

    The month of the start is charged at once and in full, then every calendar month of the account's time zone.
    """
    if not plan and not line:
        raise UsageError("what is charged?", hint="give --plan, or --line telephony.did_months=1, or both")
    lines = [parse_line(text) for text in line or ()]
    zone, now = session.zone_of(account), session.now()
    begin = parse_instant(since, zone, now) if since else None
    what = " and ".join(filter(None, (f"plan {plan}" if plan else "", ", ".join(line or ()))))
    month = f"{(begin or now).astimezone(zone):%Y-%m}"
    session.confirm(f"Subscribe {account} to {what}? The whole of {month} is charged at once.", yes)
    answer = session.pricing.subscribe(
        account, plan, lines=lines, start_time=begin, idempotency_key=session.new_key(key)
    )
    session.receipt(SUBSCRIPTION_RECEIPT, answer, f"{account} is subscribed to {what}.")


@command(app, "cancel")
def cancel(
    session: Session,
    subscription: SubscriptionId,
    until: Annotated[
        str, typer.Option("--at", help="When it ends: a date, a time, tomorrow. Default: now.", metavar="TIME")
    ] = "",
    key: Key = None,
    yes: Yes = False,
) -> None:
    """End a subscription: later months are not charged. What has been charged stays charged."""
    found = _get(session, subscription)
    zone = session.zone_of(found.account_id)
    end = parse_instant(until, zone, session.now()) if until else None
    moment = when(end, zone) if end else "now"
    whose = f"of {found.account_id}" + (f" to plan {found.plan_id}" if found.plan_id else "")
    session.confirm(f"End the subscription {whose}, {moment}?", yes)
    answer = session.pricing.unsubscribe(subscription, end_time=end, idempotency_key=session.new_key(key))
    done = f"The subscription {whose} ends {moment}; months that begin later are not charged."
    session.receipt(SUBSCRIPTION_RECEIPT, answer, done)


def _get(session: Session, subscription_id: str) -> Subscription:
    if not subscription_id.startswith("sub_"):
        raise UsageError(f"{subscription_id!r} is not the id of a subscription (sub_…)")
    found = find(session, subscription_id)
    if found is None:
        raise NoSuchThing(
            f"there is no subscription {subscription_id}", hint="`imprestctl subscriptions list` lists them"
        )
    return found


def find(session: Session, subscription_id: str, account_id: str = "") -> Subscription | None:
    """The subscription with this id; None when there is none."""
    listed = session.pricing.list_subscriptions(account_id=account_id, page_size=1000)
    return next((one for one in listed if one.subscription_id == subscription_id), None)

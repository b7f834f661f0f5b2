"""`imprestctl accounts`: what accounts there are, and what they may do."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from imprest_client.ctl.command import AccountId, Key, Label, Limit, Yes, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.rows import ACCOUNT, ACCOUNT_LIST, ACCOUNT_RECEIPT
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import money, parse_amount, parse_choice, parse_labels
from imprest_client.model import AccountState, OverrunPolicy

app = typer.Typer(name="accounts", help="Accounts: list, show, create, update, freeze, unfreeze, close.")

NONE = "none"

CustomerId = Annotated[str, typer.Option(help="Your own id of the customer.", metavar="ID")]
Name = Annotated[str, typer.Option(help="A name for people.")]
CreditLimit = Annotated[
    str, typer.Option(help="How far the wallet may be used below zero, for calls.", metavar="AMOUNT")
]
Policy = Annotated[
    str, typer.Option(help="What happens to use beyond a hold: collect, cap or reject.", metavar="POLICY")
]
MaxOverrun = Annotated[str, typer.Option(help="Most that may be owed; none: no limit.", metavar="AMOUNT")]
MaxCalls = Annotated[str, typer.Option(help="Most calls at the same time; none: no limit.", metavar="COUNT")]
LowBalance = Annotated[str, typer.Option(help="Available credit that counts as low; none: never.", metavar="AMOUNT")]
AccountZone = Annotated[str, typer.Option(help="The zone of the account's days and months.", metavar="IANA")]


@command(app, "list")
def list_(
    session: Session,
    customer: CustomerId = "",
    parent: Annotated[str, typer.Option(help="Only the children of this account.", metavar="ACCOUNT")] = "",
    state: Annotated[str, typer.Option(help="Only those that are active, frozen or closed.")] = "",
    limit: Limit = None,
) -> None:
    """List accounts in the order of their ids."""
    accounts = session.client.list_accounts(
        customer_id=customer,
        parent_account_id=parent,
        state=parse_choice(AccountState, state, "state") if state else None,
        page_size=1000,
    )
    session.out.many(ACCOUNT_LIST, accounts, limit=limit, nothing="no accounts")


@command(app, "show")
def show(session: Session, account: AccountId) -> None:
    """Show an account's settings and state."""
    session.out.one(ACCOUNT, session.client.get_account(account))


@command(app, "create")
def create(
    session: Session,
    account: Annotated[str, typer.Argument(metavar="[ACCOUNT]", help="Its id. Default: the server makes one.")] = "",
    *,
    currency: Annotated[str, typer.Option(help="Three letters, such as USD; never changes.", metavar="CODE")],
    customer: CustomerId = "",
    name: Name = "",
    parent: Annotated[str, typer.Option(help="The account it is grouped under, for ever.", metavar="ACCOUNT")] = "",
    credit_limit: CreditLimit = "",
    overrun_policy: Policy = "",
    max_overrun: MaxOverrun = "",
    max_calls: MaxCalls = "",
    low_balance: LowBalance = "",
    time_zone: AccountZone = "",
    label: Label = None,
    key: Key = None,
) -> None:
    """Create an account with an empty wallet."""
    code = currency.upper()
    answer = session.client.create_account(
        account,
        currency=code,
        customer_id=customer,
        display_name=name,
        parent_account_id=parent,
        credit_limit=_limit(credit_limit, code),
        overrun_policy=parse_choice(OverrunPolicy, overrun_policy, "overrun policy") if overrun_policy else None,
        max_overrun=_limit(max_overrun, code),
        max_concurrent_calls=_count(max_calls),
        low_balance_threshold=_limit(low_balance, code),
        time_zone=time_zone,
        labels=parse_labels(label or []),
        idempotency_key=session.new_key(key),
    )
    done = f"Account {answer.account.account_id} was created, in {answer.account.currency_code}."
    session.receipt(ACCOUNT_RECEIPT, answer, done, replayed=answer.replayed)


@command(app, "update")
def update(
    session: Session,
    account: AccountId,
    customer: Annotated[str | None, typer.Option(help="Your own id of the customer.", metavar="ID")] = None,
    name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    credit_limit: CreditLimit = "",
    overrun_policy: Policy = "",
    max_overrun: MaxOverrun = "",
    max_calls: MaxCalls = "",
    low_balance: LowBalance = "",
    time_zone: AccountZone = "",
    label: Label = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Take all labels away.")] = False,
    key: Key = None,
) -> None:
    """Change settings; what is not given stays. Labels that are given replace all that were there."""
    if label and no_labels:
        raise UsageError("--label sets labels and --no-labels takes them away: give one of them")
    changes: dict[str, Any] = {}
    if customer is not None:
        changes["customer_id"] = customer
    if name is not None:
        changes["display_name"] = name
    if overrun_policy:
        changes["overrun_policy"] = parse_choice(OverrunPolicy, overrun_policy, "overrun policy")
    if max_calls:
        changes["max_concurrent_calls"] = _count(max_calls)
    if time_zone:
        changes["time_zone"] = time_zone
    if label or no_labels:
        changes["labels"] = parse_labels(label or [])
    amounts = {"credit_limit": credit_limit, "max_overrun": max_overrun, "low_balance_threshold": low_balance}
    if not changes and not any(amounts.values()):
        raise UsageError("there is nothing to change", hint="imprestctl accounts update --help lists the settings")
    code = session.client.get_account(account).currency_code if any(amounts.values()) else None
    changes |= {name: _limit(text, code) for name, text in amounts.items() if text}
    answer = session.client.update_account(account, **changes, currency=code, idempotency_key=session.new_key(key))
    session.receipt(ACCOUNT_RECEIPT, answer, f"Changed {account}.", replayed=answer.replayed)


@command(app, "freeze")
def freeze(session: Session, account: AccountId, key: Key = None, yes: Yes = False) -> None:
    """Deny new calls, withdrawals and transfers out. Running calls can end, and credit can be added."""
    session.confirm(f"Freeze {account}? It can make no new calls then.", yes)
    answer = session.client.freeze_account(account, idempotency_key=session.new_key(key))
    session.receipt(ACCOUNT_RECEIPT, answer, f"{account} is frozen.", replayed=answer.replayed)


@command(app, "unfreeze")
def unfreeze(session: Session, account: AccountId, key: Key = None) -> None:
    """Make a frozen account active again."""
    answer = session.client.unfreeze_account(account, idempotency_key=session.new_key(key))
    session.receipt(ACCOUNT_RECEIPT, answer, f"{account} is active.", replayed=answer.replayed)


@command(app, "close")
def close(
    session: Session,
    account: AccountId,
    forfeit: Annotated[bool, typer.Option("--forfeit", help="Give up the credit that is left.")] = False,
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Close an account for good. Its calls must have ended, nothing may be owed, and its wallet be empty."""
    given_up = ""
    if forfeit and not yes:
        balance = session.client.get_balance(account)
        given_up = f" Its {money(balance.wallet, balance.currency_code)} of credit are given up."
    session.confirm(f"Close {account} for good?{given_up}", yes)
    answer = session.client.close_account(account, forfeit=forfeit, idempotency_key=session.new_key(key))
    session.receipt(ACCOUNT_RECEIPT, answer, f"{account} is closed.", replayed=answer.replayed)


def _limit(text: str, currency_code: str | None) -> Decimal | None:
    """An amount in the account's currency; None for `none` and for nothing."""
    if text in ("", NONE):
        return None
    amount = parse_amount(text)
    if amount.currency_code not in (None, currency_code):
        raise UsageError(f"{text!r} is not in the account's currency, {currency_code}")
    return amount.value


def _count(text: str) -> int | None:
    if text in ("", NONE):
        return None
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"{text!r} is not a number of calls", hint="write a whole number, or none")
    return int(text)

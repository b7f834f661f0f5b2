"""`imprestctl budgets`: limits for what is spent, and what happens when they are reached."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

import typer

from imprest_client.budget_model import (
    AlertLevel,
    BudgetBasis,
    BudgetPeriod,
    Threshold,
    ThresholdAction,
    ThresholdProfile,
)
from imprest_client.ctl.budget_rows import BUDGET_LIST, BUDGET_RECEIPT, DELETE_RECEIPT, RESUME_RECEIPT, STATUS
from imprest_client.ctl.command import Key, Limit, Reason, Yes, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import choices, money, parse_amount, parse_choice, parse_labels

app = typer.Typer(name="budgets", help="Budgets, limits for what is spent: set, show, list, delete, resume.")

# The period so far is summed, which takes long for a large tenant.
_SET_TIMEOUT_S = 600.0
_PERCENT = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,2})?", re.ASCII)

BudgetId = Annotated[str, typer.Argument(metavar="BUDGET", help="The budget's id.")]


@command(app, "set")
def set_(
    session: Session,
    budget: Annotated[str, typer.Argument(metavar="BUDGET", help="Its id, your choice.")],
    limit: Annotated[
        str, typer.Argument(metavar="LIMIT", help="What may be spent in a period: 25USD; an account's: 25.")
    ],
    *,
    period: Annotated[
        str, typer.Option(help="day, week, month or total.", autocompletion=lambda: choices(BudgetPeriod))
    ],
    account: Annotated[str, typer.Option(help="Counts this account. Default: all accounts.", metavar="ACCOUNT")] = "",
    label: Annotated[str, typer.Option(help="Counts what carries this label, such as agent=ann.", metavar="K=V")] = "",
    meter: Annotated[str, typer.Option(help="Counts only usage of meters that begin so: llm.", metavar="PREFIX")] = "",
    basis: Annotated[
        str,
        typer.Option(help="charged (what customers pay) or cost.", autocompletion=lambda: choices(BudgetBasis)),
    ] = "charged",
    budget_zone: Annotated[
        str, typer.Option("--time-zone", help="The zone of its days and months. Default: UTC.", metavar="IANA")
    ] = "",
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="A threshold PERCENT[,LEVEL][,block|stop-calls][,label=WORD]; can be given several times.",
            metavar="THRESHOLD",
        ),
    ] = None,
    profile_: Annotated[
        str,
        typer.Option(
            "--thresholds",
            help="Ready ones: warn (80, 95, 100 %) or emergency-stop (80, 100 %, stops calls at 150 %). Default: warn.",
            metavar="PROFILE",
            autocompletion=lambda: choices(ThresholdProfile),
        ),
    ] = "",
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    key: Key = None,
) -> None:
    """Make a budget, or change it as a whole: what is not given gets its default. The running period counts."""
    if account and label:
        raise UsageError("--account and --label are two scopes: give one of them")
    if at and profile_:
        raise UsageError("--at gives thresholds and --thresholds takes ready ones: give one of them")
    amount = parse_amount(limit)
    code = amount.currency_code
    if code is None:
        if not account:
            raise UsageError("the limit needs a currency", hint=f"write {limit}USD")
        code = session.client.get_account(account).currency_code
    client = session.budgets
    if session.settings.sources["timeout"] == "default":
        client = client.with_timeout(_SET_TIMEOUT_S)
    answer = client.set_budget(
        budget,
        amount.value,
        period=parse_choice(BudgetPeriod, period, "period"),
        account_id=account or None,
        label=next(iter(parse_labels([label]).items())) if label else None,
        meter_prefix=meter,
        basis=parse_choice(BudgetBasis, basis, "basis"),
        time_zone=budget_zone,
        thresholds=[parse_threshold(text) for text in at or []],
        profile=parse_choice(ThresholdProfile, profile_, "profile of thresholds") if profile_ else None,
        display_name=name,
        currency=code,
        idempotency_key=session.new_key(key),
    )
    session.receipt(BUDGET_RECEIPT, answer, f"Budget {answer.budget.budget_id} is in force.")


@command(app, "show")
def show(session: Session, budget: BudgetId) -> None:
    """Show how a budget stands in its running period."""
    session.out.one(STATUS, session.budgets.get_budget_status(budget))


@command(app, "list")
def list_(
    session: Session,
    account: Annotated[str, typer.Option(help="Only those of this account.", metavar="ACCOUNT")] = "",
    label: Annotated[str, typer.Option(help="Only those by this label, whatever its value.", metavar="KEY")] = "",
    limit: Limit = None,
) -> None:
    """List budgets in the order of their ids."""
    found = session.budgets.list_budgets(account_id=account, label_key=label, page_size=1000)
    session.out.many(BUDGET_LIST, found, limit=limit, nothing="no budgets")


@command(app, "delete")
def delete(session: Session, budget: BudgetId, key: Key = None, yes: Yes = False) -> None:
    """Have a budget count, block and stop no more. Its alerts stay."""
    session.confirm(f"Delete budget {budget}? It limits nothing then.", yes)
    answer = session.budgets.delete_budget(budget, idempotency_key=session.new_key(key))
    session.receipt(DELETE_RECEIPT, answer, f"Budget {budget} is deleted.")


@command(app, "resume")
def resume(session: Session, budget: BudgetId, reason: Reason = "", key: Key = None, yes: Yes = False) -> None:
    """Let calls go on that a budget has stopped; thresholds that block still do."""
    if not yes:
        status = session.budgets.get_budget_status(budget)
        code = status.budget.currency_code
        spent = f"{money(status.spent, code)} of {money(status.budget.limit, code)} are spent."
        session.confirm(f"Let calls of budget {budget} go on? {spent}", yes)
    answer = session.budgets.resume_calls(budget, reason=reason, idempotency_key=session.new_key(key))
    session.receipt(RESUME_RECEIPT, answer, f"Budget {budget} stops no calls.")


def parse_threshold(text: str) -> Threshold:
    """`80`, `95,critical`, `100,critical,block`, `150,emergency,stop-calls,label=scale-down`. Raises UsageError."""
    percent, *words = [word.strip() for word in text.split(",")]
    if not _PERCENT.fullmatch(percent):
        raise UsageError(f"{text!r} is no threshold", hint="begin with a percentage: --at 95,critical,block")
    level, action, label = AlertLevel.WARNING, ThresholdAction.NOTIFY, ""
    for word in words:
        if word.startswith("label="):
            label = word.removeprefix("label=")
        elif word.lower() in choices(ThresholdAction):
            action = parse_choice(ThresholdAction, word, "action")
        elif word.lower() in choices(AlertLevel):
            level = parse_choice(AlertLevel, word, "level")
        else:
            known = ", ".join([*choices(AlertLevel), *choices(ThresholdAction)])
            raise UsageError(f"{word!r} is no level or action of a threshold", hint=f"choose from {known}, label=WORD")
    return Threshold(Decimal(percent), level, action, label)

"""Tables for people: the day's summary, a statement, a trial balance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from rich import box
from rich.console import Console
from rich.table import Table

from imprest.v1.balance_pb2 import Balance
from imprest.v1.ledger_service_pb2 import CommitResponse
from imprest.v1.transaction_pb2 import LedgerAccountCode, Transaction, TransactionKind
from imprest.v1.trial_balance_pb2 import TrialBalance
from imprest_client.money import to_decimal

from .call_file import CallFile
from .day import Day
from .tally import AccountTally

_PROBLEMS_SHOWN = 10


def show_call_file(console: Console, found: CallFile, name: str) -> None:
    """Say what was read, and what was left out and why."""
    accounts = len({call.account for call in found.calls})
    console.print(f"{name}: {len(found.calls):,} calls of {accounts} accounts")
    if found.ignored_columns:
        shown = ", ".join(repr(column[:40]) for column in found.ignored_columns[:10])
        console.print(f"  ignored {len(found.ignored_columns)} unknown columns: {shown}")
    if found.bad_row_count:
        console.print(f"  left out {found.bad_row_count:,} bad rows:")
        for problem in found.problems[:_PROBLEMS_SHOWN]:
            console.print(f"    {problem}")
        if found.bad_row_count > _PROBLEMS_SHOWN:
            console.print(f"    and {found.bad_row_count - _PROBLEMS_SHOWN:,} more")
    if found.truncated:
        console.print(f"  the file is longer: only its first {len(found.calls):,} good rows are used")


def show_summary(console: Console, day: Day) -> None:
    """Calls, money by currency, denials, and speed."""
    tally, ledger = day.tally, day.ledger
    minutes, events = tally.talk_s // 60, tally.events
    console.print(f"\n{tally.call_count:,} calls, {minutes:,} minutes", style="bold")

    by_currency: dict[str, list[AccountTally]] = {}
    for account in tally.accounts.values():
        by_currency.setdefault(account.currency, []).append(account)
    money = _table("", *by_currency)
    rows: Mapping[str, Callable[[AccountTally], Decimal]] = {
        "credited": lambda account: account.credited,
        "charged": lambda account: account.charged,
        "refunded": lambda account: account.refunded,
        "absorbed": lambda account: account.absorbed,
    }
    for name, figure in rows.items():
        money.add_row(name, *(_cents(sum(map(figure, group), Decimal(0))) for group in by_currency.values()))
    money.add_row("held (peak)", *(_cents(tally.held_peak[currency]) for currency in by_currency))
    console.print(money)

    counts = _table("what happened", "count")
    for name in sorted(events):
        counts.add_row(name, f"{events[name]:,}")
    for reason, count in tally.denials.most_common():
        counts.add_row(f"denied: {reason}", f"{count:,}")
    for reason, count in tally.cut_short.most_common():
        counts.add_row(f"ended early: {reason}", f"{count:,}")
    counts.add_row("duplicates sent / replayed", f"{ledger.duplicate_count:,} / {ledger.replay_count:,}")
    counts.add_row("requests repeated, outcome unknown", f"{ledger.retry_count:,}")
    console.print(counts)

    speed = _table("RPC", "requests", "p50 ms", "p95 ms", "p99 ms")
    for rpc, latencies in sorted(ledger.latencies_s.items(), key=lambda item: -len(item[1])):
        ordered = sorted(latencies)
        shares = (ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] for percent in (50, 95, 99))
        speed.add_row(rpc, f"{len(ordered):,}", *(f"{share * 1000:.1f}" for share in shares))
    console.print(speed)
    request_count = sum(map(len, ledger.latencies_s.values()))
    console.print(
        f"{tally.call_count / day.elapsed_s:,.0f} calls/s, {request_count / day.elapsed_s:,.0f} requests/s "
        f"over {day.elapsed_s:.1f} s"
    )


def show_call(console: Console, commit: CommitResponse) -> None:
    """One call, line by line: what was measured, what it cost, what it was sold for, and what is left."""
    charge, currency = commit.charge, commit.balance.currency_code
    table = _table("meter", "provider", "quantity", "cost", "price", "margin", left=2)
    for line in charge.lines:
        price, cost = to_decimal(line.price), to_decimal(line.cost) if line.cost_version else None
        provider = "/".join(filter(None, (line.line.provider, line.line.model)))
        quantity = f"{Decimal(line.line.quantity.value):,}"
        table.add_row(line.line.meter, provider, quantity, _cost(cost), _amount(price), _percent(price, cost))
    price = to_decimal(charge.charged) + to_decimal(charge.absorbed)
    cost = to_decimal(charge.provider_cost) if all(line.cost_version for line in charge.lines) else None
    table.add_section()
    table.add_row("call", "", "", _cost(cost), _amount(price), _percent(price, cost))
    console.print(f"\nThe dearest call, {_short(commit.reservation.call_id)}, in {currency}", style="bold")
    console.print(table)


def _cost(cost: Decimal | None) -> str:
    return "unknown" if cost is None else _amount(cost)


def _percent(price: Decimal, cost: Decimal | None) -> str:
    return f"{(price - cost) / price * 100:.1f} %" if price and cost is not None else ""


def show_statement(console: Console, account_id: str, transactions: Sequence[Transaction], balance: Balance) -> None:
    """The last lines of an account's statement, and where it stands."""
    table = _table("no.", "time", "kind", "call", "in or out", "owed", "wallet", left=4)
    for line in transactions:
        table.add_row(
            str(line.seq),
            line.create_time.ToDatetime().strftime("%H:%M:%S"),
            TransactionKind.Name(line.kind).removeprefix("TRANSACTION_KIND_").lower().replace("_", " "),
            _short(line.call_id or line.external_reference),
            _amount(_change(line, LedgerAccountCode.LEDGER_ACCOUNT_CODE_WALLET)),
            _amount(-_change(line, LedgerAccountCode.LEDGER_ACCOUNT_CODE_RECEIVABLE)),
            _amount(to_decimal(line.wallet_after)),
        )
    console.print(
        f"\nStatement of {account_id} in {balance.currency_code}, its last {len(transactions)} lines", style="bold"
    )
    console.print(table)
    console.print(
        f"wallet {_amount(to_decimal(balance.wallet))}, held {_amount(to_decimal(balance.held))}, "
        f"available {_amount(to_decimal(balance.available))}, owed {_amount(to_decimal(balance.receivable))} "
        f"{balance.currency_code}"
    )


def show_trial_balances(console: Console, trials: Sequence[TrialBalance]) -> None:
    """The tenant's books: what stands on every line of the chart, by currency."""
    codes = {line.code for trial in trials for line in trial.lines if _signed(trial, line.code)}
    header = [f"{trial.currency_code} {side}" for trial in trials for side in ("Dr", "Cr")]
    table = _table("", *header)
    for code in sorted(codes):
        cells = []
        for trial in trials:
            signed = _signed(trial, code)
            cells += [_amount(signed) if signed > 0 else "", _amount(-signed) if signed < 0 else ""]
        table.add_row(LedgerAccountCode.Name(code).removeprefix("LEDGER_ACCOUNT_CODE_"), *cells)
    table.add_section()
    totals = (total for trial in trials for total in (trial.total_debits, trial.total_credits))
    table.add_row("total", *(_amount(to_decimal(total)) for total in totals))
    console.print("\nTrial balance of all accounts (Dr debit, Cr credit)", style="bold")
    console.print(table)


def _signed(trial: TrialBalance, code: LedgerAccountCode) -> Decimal:
    """A line's balance: debit positive, credit negative."""
    for line in trial.lines:
        if line.code == code:
            return to_decimal(line.debit_balance) - to_decimal(line.credit_balance)
    return Decimal(0)


def _change(transaction: Transaction, code: LedgerAccountCode) -> Decimal:
    """What a transaction credits to a ledger account, less what it debits."""
    change = Decimal(0)
    for posting in transaction.postings:
        change += to_decimal(posting.amount) * ((posting.credit == code) - (posting.debit == code))
    return change


def _table(first: str, *others: str, left: int = 1) -> Table:
    """A plain table whose first columns are text and whose others are numbers."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for number, name in enumerate((first, *others)):
        table.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    return table


def _short(text: str) -> str:
    return text if len(text) <= 16 else text[:15] + "…"


def _cents(amount: Decimal) -> str:
    return f"{amount.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,}"


def _amount(amount: Decimal) -> str:
    """All nine decimals are exact, but four are what people read; zero is left out."""
    return f"{amount.quantize(Decimal('0.0001'), ROUND_HALF_EVEN):,}" if amount else "0"

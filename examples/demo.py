"""A day of phone calls against a real Imprest server: `make demo`.

Starts `imprest serve` with a database of its own, publishes prices, lets AI agents make the calls of calls.csv
(reserve from an estimate, extend, commit what was used, and everything that goes wrong on the way), prints alerts
of a budget as they come, and then what happened, and checks the books against its own tally.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import uvloop
from callcenter import books, report, server
from callcenter.call_file import CallFileError, read_calls
from callcenter.calls import Call
from callcenter.customers import customers_of
from callcenter.day import Day
from callcenter.ledger import Denied, Ledger, Unreachable
from callcenter.progress import shown
from callcenter.watch import set_budgets, watched
from rich.console import Console

_CALLS = Path(__file__).with_name("calls.csv")
_STATEMENT_LINES = 15
_WIDTH = 110
"""Of tables that do not go to a terminal."""


def main() -> None:
    """Run the demo; exit with 0 only when everything, the books included, is right."""
    options = _options()
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda number, _: sys.exit(128 + number))  # unwinding stops the server
    failure, problems = "", []
    try:
        problems = _run(options, console)
    except* (CallFileError, server.ServerError, Denied, Unreachable) as group:
        failure = str(_first(group))
    except* KeyboardInterrupt:
        failure = "interrupted"
    for problem in problems[:20]:
        print(f"demo: {problem}")
    if problems or failure:
        sys.exit(f"demo: {failure or f'FAILED, {len(problems)} found wrong'}")


def _run(options: argparse.Namespace, console: Console) -> list[str]:
    """Read the calls, provide a server, live the day, verify. Returns what was wrong."""
    found = read_calls(options.calls)
    report.show_call_file(console, found, options.calls.name)
    calls = found.calls[: options.limit]
    data_dir: Path | None = options.data_dir
    with ExitStack() as stack:
        target: str | None = options.target
        suffix = f".{secrets.token_hex(3)}"
        if target is None:
            if data_dir is None:
                data_dir = stack.enter_context(server.scratch_dir(options.keep)) / "data"
                suffix = ""  # a new database: every id is free
            console.print("starting imprest serve with its own Postgres …")
            target = stack.enter_context(server.own_server(data_dir))
        problems = uvloop.run(_live(target, [call.renamed(suffix) for call in calls], suffix, options, console))
        if data_dir is None:
            print("books: OK" if not problems else "books: wrong")
            print("verify: not run; it needs the server's own machine: imprest verify")
            return problems
        verified = server.verify(data_dir)
    if options.keep or options.data_dir:
        print(f"the data is kept in {data_dir}")
    if verified.returncode != 0:
        problems.append(f"imprest verify failed with status {verified.returncode}")
    print(verified.stdout.rstrip())
    return problems


async def _live(
    target: str, calls: list[Call], suffix: str, options: argparse.Namespace, console: Console
) -> list[str]:
    """Live the day on a server, show it, and check the books. Returns what was wrong."""
    names = customers_of(call.account.removesuffix(suffix) for call in calls)
    async with Ledger(target) as ledger:
        await ledger.wait_until_serving(timeout_s=15)
        day = Day(ledger, {name + suffix: customer for name, customer in names.items()})
        await day.open_accounts()
        await day.publish_prices(suffix)
        console.print(f"{len(calls):,} calls, {options.concurrency} at a time, on {target}")
        await set_budgets(day)
        async with watched(day, console), shown(day, len(calls), console):
            await day.live(calls, options.concurrency)
        report.show_summary(console, day)
        if day.tally.dearest.charge.lines:
            report.show_call(console, day.tally.dearest)

        account_id = _most_eventful(day)
        transactions = await books.last_transactions(ledger, account_id, _STATEMENT_LINES)
        report.show_statement(console, account_id, transactions, await books.balance_of(ledger, account_id))
        report.show_trial_balances(console, await books.trial_balances(ledger))

        wrong = await books.check_accounts(ledger, day.tally)
        if not wrong:
            console.print(f"the books of {len(day.customers)} accounts agree with what the demo saw, to the nano")
        return day.tally.problems + wrong


def _most_eventful(day: Day) -> str:
    """The account whose statement is worth reading: one that owed and paid, else the one with most calls."""
    debtors = [account_id for account_id, customer in day.customers.items() if not customer.extends and customer.top_up]
    return debtors[0] if debtors else max(day.tally.accounts, key=lambda name: day.tally.accounts[name].call_count)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group of them."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=Path, default=_CALLS, metavar="FILE", help="call file (default: calls.csv)")
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N calls")
    parser.add_argument("--concurrency", type=_positive, default=64, metavar="N", help="calls at a time (default: 64)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="database directory to use and keep")
    parser.add_argument("--keep", action="store_true", help="keep the temporary database")
    parser.add_argument("--target", metavar="HOST:PORT", help="use this running server instead of an own one")
    return parser.parse_args()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


if __name__ == "__main__":
    main()

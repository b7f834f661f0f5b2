"""`imprestctl explain`: what became of a hold, or what a transaction did, in words, with usage and postings."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from imprest_client.ctl.command import command
from imprest_client.ctl.groups.refund import is_reservation_id
from imprest_client.ctl.groups.subscriptions import find
from imprest_client.ctl.output import Format, as_object
from imprest_client.ctl.price_rows import CHARGED_LINE, ChargedLine, unknown_costs
from imprest_client.ctl.rows import ALLOCATION, POSTING, RESERVATION, TRANSACTION, posting_lines
from imprest_client.ctl.session import Session
from imprest_client.ctl.stories import Event, story_of_hold, story_of_transaction
from imprest_client.ctl.stories.hold import charged_by
from imprest_client.ctl.values import rfc3339
from imprest_client.model import Reservation, Transaction, TransactionKind
from imprest_client.pricing_model import Subscription

app = typer.Typer()

#: How often a hold is read again that changed while its transactions were read.
READS = 5


@command(app, "explain")
def explain(
    session: Session,
    target: Annotated[str, typer.Argument(metavar="ID", help="A reservation, rsv_…, or a transaction, txn_…")],
) -> None:
    """Tell the story of one hold, or of one transaction, and show its usage line by line and its postings."""
    if is_reservation_id(target):
        reservation, transactions = _hold(session, target)
        late = ", late" if reservation.late else ""
        lines = [line for transaction in transactions for line in _lines(session, transaction)]
        title = f"Reservation {target} of account {reservation.account_id}: {reservation.state}{late}"
        story = story_of_hold(reservation, transactions, session.out.zone)
        content: dict[str, Any] = {
            "reservation": as_object(RESERVATION, reservation),
            "transactions": [as_object(TRANSACTION, transaction) for transaction in transactions],
            "lines": [as_object(CHARGED_LINE, line) for line in lines],
        }
    else:
        found = session.client.get_transaction_refunds(target)
        transactions, currency_code = [found.transaction], found.transaction.currency_code
        lines = [ChargedLine(found.transaction, rated) for rated in found.lines]
        title = f"Transaction {target} of account {found.transaction.account_id}: {found.transaction.kind}"
        story = story_of_transaction(found, session.out.zone, _subscription(session, found.transaction))
        content = {
            "transaction": as_object(TRANSACTION, found.transaction),
            "refunded_by": [as_object(ALLOCATION, (part, currency_code)) for part in found.refunded_by],
            "refund_of": [as_object(ALLOCATION, (part, currency_code)) for part in found.refund_of],
            "lines": [as_object(CHARGED_LINE, line) for line in lines],
        }
    if session.out.form is Format.JSON:
        session.out.document({"story": _events(story), **content})
        return
    session.out.say(f"{title}\n")
    session.out.story(story)
    session.out.say("")
    if lines and session.out.form is Format.TABLE:
        session.out.many(CHARGED_LINE, lines, limit=0)
        if unknown := unknown_costs(line.rated for line in lines):
            session.out.say(unknown)
        session.out.say("")
    postings = [posting for transaction in transactions for posting in posting_lines(transaction)]
    session.out.many(POSTING, postings, limit=0, nothing="it has posted nothing")


def _lines(session: Session, transaction: Transaction) -> list[ChargedLine]:
    """What a transaction of a hold has charged, line by line."""
    if transaction.kind not in (TransactionKind.COMMIT, TransactionKind.LATE_COMMIT):
        return []
    found = session.client.get_transaction_refunds(transaction.transaction_id)
    return [ChargedLine(transaction, rated) for rated in found.lines]


def _subscription(session: Session, transaction: Transaction) -> Subscription | None:
    """The subscription of which a transaction has charged a month."""
    if transaction.kind is not TransactionKind.USAGE or not transaction.call_id.startswith("sub_"):
        return None
    return find(session, transaction.call_id, transaction.account_id)


def _hold(session: Session, reservation_id: str) -> tuple[Reservation, Sequence[Transaction]]:
    """The hold and its transactions, of one and the same moment even while its call runs."""
    for attempt in itertools.count(1):
        reservation = session.client.get_reservation(reservation_id)
        found = session.client.list_transactions(reservation.account_id, reservation_id=reservation_id, page_size=1000)
        transactions = list(found)
        if charged_by(transactions) == reservation.captured or attempt == READS:
            return reservation, transactions
    raise AssertionError("attempts are counted without end")


def _events(story: Iterable[Event]) -> list[dict[str, str | None]]:
    return [{"time": rfc3339(event.time) if event.time else None, "text": event.text} for event in story]

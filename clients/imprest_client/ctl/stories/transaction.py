"""The story of one transaction: what it did, what it belongs to, its place in the book, its refunds."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from imprest_client.ctl.stories.event import Event
from imprest_client.ctl.stories.flows import (
    ZERO,
    Words,
    aside_words,
    flows_of,
    given_back_words,
    late_words,
    moved,
    paid_words,
    reason_words,
    rerate_words,
    split_words,
    true_up_words,
    wallet_change,
)
from imprest_client.ctl.values import labels_text, money, when
from imprest_client.model import LedgerAccountCode as Code
from imprest_client.model import Transaction, TransactionKind, TransactionRefunds
from imprest_client.pricing_model import Subscription


def story_of_transaction(
    found: TransactionRefunds, zone: ZoneInfo, subscription: Subscription | None = None
) -> list[Event]:
    """What a transaction did and what has become of it; only the first event has a time.

    `subscription` is the one that its usage is a month of, if it is.
    """
    transaction = found.transaction
    deed = _deed(transaction) if subscription is None else _month(found, subscription, zone)
    belongings = _belongings(transaction, zone, subscription)
    return [
        Event(transaction.create_time, deed),
        *(Event(None, text) for text in (*belongings, *_refunds(found), _place(transaction))),
    ]


def _deed(transaction: Transaction) -> str:
    """What it did."""
    text = _DEEDS.get(transaction.kind, _other)(transaction)
    return text + reason_words(transaction.reason)


def _month(found: TransactionRefunds, subscription: Subscription, zone: ZoneInfo) -> str:
    """That a month of a subscription was charged; its lines are numbered within the month, as in `2026-11.1`."""
    t = found.transaction
    flows, words = flows_of(t), _words(t)
    line_id = found.lines[0].line.line_id if found.lines else ""
    month, _, _ = line_id.partition(".")
    of = f"plan {subscription.plan_id}" if subscription.plan_id else "a subscription without a plan"
    text = f"The month {month or f'{t.effective_time.astimezone(zone):%Y-%m}'} of {of} was charged"
    return f"{text}: {words(flows.usage)}, {late_words(flows, words)}.{aside_words(flows, words)}"


# ── by kind ──────────────────────────────────────────────────────────────────────────────────────────


def _commit(t: Transaction) -> str:
    flows = flows_of(t)
    if not flows.usage:
        return "A commit charged nothing." + aside_words(flows, _words(t))
    how = paid_words(flows, _words(t))
    return f"A commit captured {_words(t)(flows.usage)}: {how}." + aside_words(flows, _words(t))


def _expire(t: Transaction) -> str:
    flows = flows_of(t)
    if not flows.usage:
        return "A hold came due and was freed." + aside_words(flows, _words(t))
    how = paid_words(flows, _words(t))
    return (
        f"A hold came due, and its reported use of {_words(t)(flows.usage)} was charged: {how}."
        f"{aside_words(flows, _words(t))}"
    )


def _late_commit(t: Transaction) -> str:
    flows, words = flows_of(t), _words(t)
    text = "A commit came after its hold had expired, and put right what the expiry had charged."
    if flows.usage:
        text += f" {words(flows.usage)} more had been used: {late_words(flows, words)}."
    if flows.given_back:
        text += f" {words(flows.given_back)} was given back: {given_back_words(flows, words)}."
    if flows.recovered:
        text += f" {words(flows.recovered)} less is absorbed as a loss."
    return text + aside_words(flows, words)


def _void(t: Transaction) -> str:
    return "A hold was voided." + aside_words(flows_of(t), _words(t))


def _charge(t: Transaction) -> str:
    flows, words = flows_of(t), _words(t)
    return f"{words(flows.usage)} was charged at once, without a hold." + aside_words(flows, words)


def _usage(t: Transaction) -> str:
    flows, words = flows_of(t), _words(t)
    return (
        f"{words(flows.usage)} of usage was recorded, which nothing was held for: {late_words(flows, words)}."
        f"{aside_words(flows, words)}"
    )


def _refund(t: Transaction) -> str:
    flows, words = flows_of(t), _words(t)
    return f"A refund gave back {words(flows.given_back)}: {given_back_words(flows, words)}." + aside_words(
        flows, words
    )


def _add_credit(t: Transaction) -> str:
    fee = moved(t, Code.FEE_COST, Code.FEE_PAYABLE)
    text = f"The customer bought {_inflow(t, Code.CASH)}."
    return text + (f" The payment cost {_words(t)(fee)} in fees." if fee else "") + _settlement(t)


def _reverse_credit(t: Transaction) -> str:
    taken, owed = moved(t, Code.WALLET, Code.CASH), moved(t, Code.RECEIVABLE, Code.CASH)
    parts = [(taken, "from the wallet"), (owed, "owed by the customer")]
    return f"{_words(t)(taken + owed)} of bought credit was taken back: {split_words(taken + owed, parts, _words(t))}."


def _grant_credit(t: Transaction) -> str:
    return f"The customer was given {_inflow(t, Code.PROMOTION_COST)}." + _settlement(t)


def _adjust(t: Transaction) -> str:
    taken = moved(t, Code.WALLET, Code.ADJUSTMENTS)
    if taken:
        return f"A correction took {_words(t)(taken)} from the wallet."
    return f"A correction added {_inflow(t, Code.ADJUSTMENTS)}." + _settlement(t)


def _withdraw(t: Transaction) -> str:
    return f"{_words(t)(moved(t, Code.WALLET, Code.CASH))} was paid out to the customer."


def _transfer_out(t: Transaction) -> str:
    sent = _words(t)(moved(t, Code.WALLET, Code.CLEARING))
    return f"{sent} was sent to another account, in whose book a TRANSFER_IN stands for it."


def _transfer_in(t: Transaction) -> str:
    return f"Another account, in whose book a TRANSFER_OUT stands for it, sent {_inflow(t, Code.CLEARING)}." + (
        _settlement(t)
    )


def _update_account(t: Transaction) -> str:
    return "The credit limit was raised." + aside_words(flows_of(t), _words(t))


def _close(t: Transaction) -> str:
    return f"The account was closed, and {_words(t)(moved(t, Code.WALLET, Code.BREAKAGE))} of credit was given up."


def _true_up(t: Transaction) -> str:
    return true_up_words(t, _words(t))


def _rerate(t: Transaction) -> str:
    return rerate_words(t, _words(t))


def _other(t: Transaction) -> str:
    return f"An operation that this imprestctl does not know ({t.kind}) wrote the postings below."


_DEEDS = {
    TransactionKind.COMMIT: _commit,
    TransactionKind.LATE_COMMIT: _late_commit,
    TransactionKind.EXPIRE: _expire,
    TransactionKind.VOID: _void,
    TransactionKind.CHARGE: _charge,
    TransactionKind.USAGE: _usage,
    TransactionKind.REFUND: _refund,
    TransactionKind.ADD_CREDIT: _add_credit,
    TransactionKind.REVERSE_CREDIT: _reverse_credit,
    TransactionKind.GRANT_CREDIT: _grant_credit,
    TransactionKind.ADJUST: _adjust,
    TransactionKind.WITHDRAW: _withdraw,
    TransactionKind.TRANSFER_OUT: _transfer_out,
    TransactionKind.TRANSFER_IN: _transfer_in,
    TransactionKind.UPDATE_ACCOUNT: _update_account,
    TransactionKind.CLOSE: _close,
    TransactionKind.TRUE_UP: _true_up,
    TransactionKind.RERATE: _rerate,
}


# ── around it ────────────────────────────────────────────────────────────────────────────────────────


def _belongings(t: Transaction, zone: ZoneInfo, subscription: Subscription | None) -> Iterator[str]:
    """What it belongs to."""
    if subscription is not None:
        lasts = f", which ends at {when(subscription.end_time, zone)}" if subscription.end_time else ""
        yield f"It belongs to subscription {subscription.subscription_id}{lasts}."
    elif t.reservation_id:
        call = f" for call {t.call_id}" if t.call_id else ""
        yield f"It belongs to hold {t.reservation_id}{call}."
    elif t.call_id:
        yield f"It belongs to call {t.call_id}."
    if t.external_reference:
        yield f"Its id elsewhere is {t.external_reference}."
    if t.labels:
        yield f"Labels: {labels_text(t.labels)}."
    if t.effective_time != t.create_time:
        yield f"It took effect at {when(t.effective_time, zone)}."


def _refunds(found: TransactionRefunds) -> Iterator[str]:
    """What was given back of it, and of what it gave back."""
    words = _words(found.transaction)
    for part in found.refund_of:
        yield f"{words(part.amount)} of what {part.captured_transaction_id} had charged was given back."
    charged = flows_of(found.transaction).charged
    if not charged:
        return
    for part in found.refunded_by:
        yield f"{words(part.amount)} of it was given back later by {part.refund_transaction_id}."
    left = charged - sum((part.amount for part in found.refunded_by), ZERO)
    so_far = "" if found.refunded_by else "Nothing of it has been refunded; "
    yield f"{so_far}{words(left)} of it can still be refunded." if left else "Nothing of it is left to refund."


def _place(t: Transaction) -> str:
    """Its place in the book and the chain."""
    words, change = _words(t), wallet_change(t)
    wallet = (
        f"took the wallet from {words(t.wallet_after - change)} to {words(t.wallet_after)}"
        if change
        else f"left the wallet at {words(t.wallet_after)}"
    )
    return f"It is no. {t.seq} in the book of {t.account_id} (chain hash {t.chain_hash.hex()[:16]}…), and {wallet}."


def _inflow(t: Transaction, source: Code) -> str:
    """`25.00 USD of credit`, and how much of it repaid what was owed."""
    repaid, kept = moved(t, source, Code.RECEIVABLE), moved(t, source, Code.WALLET)
    text = f"{_words(t)(repaid + kept)} of credit"
    return f"{text}, of which {_words(t)(repaid)} repaid what was owed" if repaid else text


def _settlement(t: Transaction) -> str:
    return aside_words(flows_of(t), _words(t))


def _words(t: Transaction) -> Words:
    return lambda amount: money(amount, t.currency_code)

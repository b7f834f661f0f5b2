"""A transaction's postings as what they mean: who paid, who owes, what was given back. And words for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from imprest_client.model import LedgerAccountCode as Code
from imprest_client.model import Transaction

#: Writes an amount in the currency of the story.
Words: TypeAlias = Callable[[Decimal], str]

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Flows:
    """What the postings of one transaction add up to, by meaning. Nothing is negative."""

    paid: Decimal
    """Taken from the wallet for usage: from the hold, or from available credit beside it."""
    owed: Decimal
    """Usage that neither could pay and the customer now owes."""
    absorbed: Decimal
    """Usage that nobody pays."""
    recovered: Decimal
    """Loss that is one no more."""
    forgiven: Decimal
    """Given back by owing less."""
    returned: Decimal
    """Given back to the wallet."""
    settled: Decimal
    """Moved from the wallet to what was owed before."""
    cost: Decimal
    """Owed to providers."""
    cost_reversed: Decimal
    """No longer owed to providers."""

    @property
    def charged(self) -> Decimal:
        """What the customer paid or owes by it."""
        return self.paid + self.owed

    @property
    def usage(self) -> Decimal:
        """What was used, whoever pays it."""
        return self.paid + self.owed + self.absorbed

    @property
    def given_back(self) -> Decimal:
        """What the customer got back."""
        return self.forgiven + self.returned


def flows_of(transaction: Transaction) -> Flows:
    """Add the postings up."""
    return Flows(
        paid=moved(transaction, Code.WALLET, Code.REVENUE),
        owed=moved(transaction, Code.RECEIVABLE, Code.REVENUE),
        absorbed=moved(transaction, Code.OVERRUN_LOSS, Code.REVENUE),
        recovered=moved(transaction, Code.REVENUE, Code.OVERRUN_LOSS),
        forgiven=moved(transaction, Code.REFUNDS, Code.RECEIVABLE),
        returned=moved(transaction, Code.REFUNDS, Code.WALLET),
        settled=moved(transaction, Code.WALLET, Code.RECEIVABLE),
        cost=moved(transaction, Code.PROVIDER_COST, Code.PROVIDER_PAYABLE),
        cost_reversed=moved(transaction, Code.PROVIDER_PAYABLE, Code.PROVIDER_COST),
    )


def moved(transaction: Transaction, debit: Code, credit: Code) -> Decimal:
    """What its postings moved from one line of the chart to another."""
    return sum((p.amount for p in transaction.postings if (p.debit, p.credit) == (debit, credit)), ZERO)


def wallet_change(transaction: Transaction) -> Decimal:
    """By how much the transaction changed the wallet; 0 when it moved other lines only."""
    return _credited(transaction, Code.WALLET)


def receivable_change(transaction: Transaction) -> Decimal:
    """By how much the transaction changed what the customer owes."""
    return -_credited(transaction, Code.RECEIVABLE)


def _credited(transaction: Transaction, code: Code) -> Decimal:
    plus = sum((p.amount for p in transaction.postings if p.credit is code), ZERO)
    return plus - sum((p.amount for p in transaction.postings if p.debit is code), ZERO)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────


def split_words(total: Decimal, parts: Iterable[tuple[Decimal, str]], words: Words) -> str:
    """`all from the hold`, or `2.00 USD from the hold, 0.50 USD absorbed as a loss`; parts of zero are left out."""
    real = [(amount, what) for amount, what in parts if amount]
    if len(real) == 1 and real[0][0] == total:
        return f"all {real[0][1]}"
    return ", ".join(f"{words(amount)} {what}" for amount, what in real)


def paid_words(flows: Flows, words: Words, hold: Decimal | None = None) -> str:
    """How usage was paid. `hold` is what the hold still had, when that is known."""
    if hold is None:
        return _usage_words(flows, [(flows.paid, "from the wallet")], words)
    from_hold = min(flows.paid, hold)
    paid = [(from_hold, "from the hold"), (flows.paid - from_hold, "from available credit beside it")]
    return _usage_words(flows, paid, words)


def late_words(flows: Flows, words: Words) -> str:
    """How usage was paid that a late commit told: the hold was gone."""
    return _usage_words(flows, [(flows.paid, "from available credit")], words)


def _usage_words(flows: Flows, paid: list[tuple[Decimal, str]], words: Words) -> str:
    parts = [*paid, (flows.owed, "owed by the customer"), (flows.absorbed, "absorbed as a loss")]
    return split_words(flows.usage, parts, words)


def given_back_words(flows: Flows, words: Words) -> str:
    """Where what was given back went."""
    parts = [(flows.forgiven, "off what the customer owed"), (flows.returned, "to the wallet")]
    return split_words(flows.given_back, parts, words)


def aside_words(flows: Flows, words: Words) -> str:
    """What the transaction did besides, in sentences that each begin with a space."""
    text = ""
    if flows.settled:
        text += f" {words(flows.settled)} of what the customer owed was repaid from the wallet."
    if flows.cost:
        text += f" Providers charge {words(flows.cost)} for it."
    if flows.cost_reversed:
        text += f" Providers give {words(flows.cost_reversed)} of their part back."
    return text


def reason_words(reason: str) -> str:
    """The reason in a sentence that begins with a space."""
    return f" Reason: {reason}." if reason else ""


def rerate_words(transaction: Transaction, words: Words) -> str:
    """What other prices have changed."""
    flows = flows_of(transaction)
    text = "Other prices were applied to its usage."
    if flows.usage:
        text += f" {words(flows.usage)} more was charged: {late_words(flows, words)}."
    if flows.given_back:
        text += f" {words(flows.given_back)} was given back: {given_back_words(flows, words)}."
    return text + _cost_words(flows, words)


def true_up_words(transaction: Transaction, words: Words) -> str:
    """What was corrected of a provider's cost."""
    flows = flows_of(transaction)
    return f"The provider's cost was corrected.{_cost_words(flows, words)}"


def _cost_words(flows: Flows, words: Words) -> str:
    text = f" It costs {words(flows.cost)} more." if flows.cost else ""
    return text + (f" It costs {words(flows.cost_reversed)} less." if flows.cost_reversed else "")

"""What must be true of every book after every operation, recomputed from the postings."""

from collections import Counter

from imprest_client.testing.ledger.model import CREDIT_NORMAL, DEBIT_NORMAL, Account
from imprest_client.testing.ledger.tenant import Tenant


def check(tenant: Tenant) -> None:
    """Raises AssertionError with the first invariant that does not hold."""
    clearing: Counter[str] = Counter()
    for account in tenant.accounts.values():
        _check_book(account)
        _check_holds(tenant, account)
        _check_refunds(tenant, account)
        clearing[account.currency] += account.balances["CLEARING"]
    assert not any(clearing.values()), f"CLEARING does not sum to zero: {dict(clearing)}"


def _check_book(account: Account) -> None:
    balances = dict.fromkeys(account.balances, 0)
    last_time = 0
    for number, transaction in enumerate(account.transactions, 1):
        assert transaction.seq == number, f"seq {transaction.seq} at position {number}"
        assert transaction.postings, "a transaction without postings"
        assert transaction.create_time >= last_time, "create_time goes back"
        last_time = transaction.create_time
        for posting in transaction.postings:
            assert posting.amount > 0, f"posting of {posting.amount}"
            balances[posting.debit] += posting.amount if posting.debit in DEBIT_NORMAL else -posting.amount
            balances[posting.credit] += posting.amount if posting.credit in CREDIT_NORMAL else -posting.amount
        assert transaction.wallet_after == balances["WALLET"], "wallet_after"
        assert transaction.receivable_after == balances["RECEIVABLE"], "receivable_after"
    assert balances == account.balances, "balances are not the sum of the postings"
    assert sum(balances[code] for code in DEBIT_NORMAL) == sum(balances[code] for code in CREDIT_NORMAL), "equation"
    assert account.receivable >= 0, "negative receivable"
    assert account.receivable == 0 or account.available <= 0, "a debt beside available credit"


def _check_holds(tenant: Tenant, account: Account) -> None:
    held = 0
    for hold in account.holds.values():
        assert hold.captured >= 0, "negative captured"
        assert hold.absorbed >= 0, "negative absorbed"
        if hold.state == "ACTIVE":
            assert account.state != "CLOSED", "an open hold on a closed account"
            held += max(0, hold.amount - hold.captured - hold.absorbed)
        mine = [entry for entry in account.transactions if entry.reservation_id == hold.reservation_id]
        returned = sum(tenant.returned.get(entry.transaction_id, 0) for entry in mine)
        refunded = sum(tenant.refunded.get(entry.transaction_id, 0) for entry in mine)
        charged = sum(entry.charged for entry in mine)
        assert hold.captured == charged - returned, "captured is not what was charged"
        cost = sum(entry.cost for entry in mine if entry.kind != "TRUE_UP")
        cost_returned = sum(tenant.cost_returned.get(entry.transaction_id, 0) for entry in mine)
        if hold.expiry is None or hold.expiry.transaction_id is not None:
            assert hold.captured_cost == cost - cost_returned, "captured cost is not what was posted"
        assert refunded <= hold.captured, "more refunded than captured"
    assert account.held == held, "held is not the sum of the open holds"


def _check_refunds(tenant: Tenant, account: Account) -> None:
    given_back = 0
    for transaction in account.transactions:
        refunded = tenant.refunded.get(transaction.transaction_id, 0)
        returned = tenant.returned.get(transaction.transaction_id, 0)
        assert refunded >= 0, "negative refund"
        assert returned >= 0, "negative return"
        assert refunded + returned <= transaction.charged, "more given back than charged"
        given_back += refunded + returned
    assert account.balances["REFUNDS"] == given_back, "REFUNDS is not what was given back"

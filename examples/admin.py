"""An admin's script, without an event loop: publishes prices, opens an account, credits and corrects it, prints it.

Start a server with `imprest serve`, then run `python examples/admin.py [host:port]`.
"""

import sys
from decimal import Decimal
from uuid import uuid4

from imprest_client.errors import AccountFrozen, ExternalReferenceUsed
from imprest_client.model import OverrunPolicy
from imprest_client.pricing_model import BookSide, Price
from imprest_client.sync import AdminClient, PricingClient

PRICES = {  # of a unit: what customers pay, and what the provider charges
    "telephony.outbound_seconds": {BookSide.SALE: "0.01", BookSide.COST: "0.004"},
    "llm.output_tokens": {BookSide.SALE: "0.00002", BookSide.COST: "0.00001"},
    "messaging.sms_segments": {BookSide.SALE: "0.02", BookSide.COST: "0.0075"},
}

target = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7400"
account_id, payment_id = f"customer-{uuid4()}", f"payment-{uuid4()}"

with PricingClient(target, currency="USD") as pricing:
    for side in (BookSide.SALE, BookSide.COST):
        book = f"example-{side.lower()}"
        pricing.create_price_book(book, side=side, idempotency_key=book)
        prices = [Price(meter=meter, unit_price=Decimal(sides[side])) for meter, sides in PRICES.items()]
        pricing.publish_prices(book, prices)
        pricing.assign_price_book(book, idempotency_key=book)  # of every account in USD without a book of its own

with AdminClient(target, currency="EUR") as admin:
    admin.create_account(account_id, display_name="Ada", overrun_policy=OverrunPolicy.CAP, max_concurrent_calls=2)
    admin.add_credit(account_id, "49.90", payment_fee="1.20", external_reference=payment_id)
    try:
        admin.add_credit(account_id, "49.90", payment_fee="1.20", external_reference=payment_id)
    except ExternalReferenceUsed:
        print("the payment provider told us twice: credited once")
    admin.grant_credit(account_id, 5, external_reference=f"welcome {account_id}")
    admin.adjust(account_id, "-0.40", reason="wrong tariff in January")

    admin.freeze_account(account_id)
    try:
        admin.reserve(account_id, 1)
    except AccountFrozen as denied:
        print(f"{denied.reason}: no new calls")
    admin.unfreeze_account(account_id)
    admin.update_account(account_id, max_concurrent_calls=None)

    for transaction in admin.list_transactions(account_id):
        for posting in transaction.postings:
            print(
                f"{transaction.seq}  {posting.debit:<15} {posting.credit:<12} {posting.amount:>5}  {transaction.kind}"
            )
    balance = admin.get_balance(account_id)
    print(f"{balance.available} {balance.currency_code} to spend")
    (books,) = admin.get_trial_balance(account_id)
    assert books.total_debits == books.total_credits
    print(f"the books balance at {books.total_debits} {books.currency_code}")

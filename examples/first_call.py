"""A first call: hold credit before dialing, commit what the call has cost, read the balance.

Start a server with `imprest serve`, then run `python examples/first_call.py [host:port]`. Run it again: the account and
its credit are there already (same keys, nothing happens twice), and the customer makes another call.
"""

import sys

from imprest_client.sync import AdminClient, CallController

target = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7400"

with AdminClient(target, currency="USD") as admin, CallController(target, currency="USD") as controller:
    admin.create_account("acme", idempotency_key="open-acme")
    admin.add_credit("acme", 25, idempotency_key="payment-1")

    with controller.call("acme", 2) as call:  # raises InsufficientFunds when the credit does not suffice
        print(f"held {call.reservation.amount} USD, the call may start")
        call.used("0.35")  # as often as you like; the last word is committed when the block ends

    balance = admin.get_balance("acme")
    print(f"charged {call.used_so_far} USD, {balance.wallet} left, {balance.held} held")

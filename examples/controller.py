"""A call controller: dials only what is paid for, and ends a call in time when the credit runs out.

Start a server with `imprest serve`, then run `python examples/controller.py [host:port]`.
"""

import asyncio
import sys
from decimal import Decimal
from uuid import uuid4

from imprest_client import AdminClient, Call, CallController, Ending
from imprest_client.errors import InsufficientFunds

COST = Decimal("0.01")  # of every moment


async def open_account(target: str) -> str:
    """A customer with a dollar: the admin's part."""
    async with AdminClient(target, currency="USD") as admin:
        account_id = f"customer-{uuid4()}"
        await admin.create_account(account_id)
        await admin.add_credit(account_id, 1, external_reference=f"payment of {account_id}")
        return account_id


async def talk(call: Call) -> None:
    """Stands for the conversation. It reports what it costs, and never runs ahead of what is held."""
    while call.ending is None:
        if call.used_so_far + COST <= call.reservation.amount:
            call.add(COST)
        await asyncio.sleep(0.01)


def on_ending(ending: Ending) -> None:
    """Hears when no more credit can be had; `ending.seconds_left` tells how long there is to say goodbye."""
    print(f"no more credit ({ending.reason}): say goodbye")


async def main(target: str) -> None:
    """Make one call that uses up the credit, and try a second one."""
    account_id = await open_account(target)
    async with CallController(target, currency="USD") as controller:
        async with controller.call(account_id, "0.40", call_id=str(uuid4()), on_ending=on_ending) as call:
            print(f"held {call.reservation.amount} USD, dialing")
            await talk(call)  # meanwhile heartbeats prolong the hold and raise it
            print(f"held {call.reservation.amount} USD in the end")
            call.used(call.reservation.amount)
        print(f"charged {call.used_so_far} USD")
        try:
            async with controller.call(account_id, "0.40"):
                print("this is not reached")
        except InsufficientFunds as denied:
            print(f"not dialing: {denied.available} USD available, {denied.required} needed")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7400"))

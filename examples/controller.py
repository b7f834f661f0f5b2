"""A call controller: dials only what is paid for, and ends a call in time when the credit runs out.

Start a server with `imprest serve`, publish prices with `examples/admin.py`, then run
`python examples/controller.py [host:port]`.
"""

import asyncio
import sys
from decimal import Decimal
from uuid import uuid4

from imprest_client import AdminClient, Call, CallController, UsageLine
from imprest_client.errors import InsufficientFunds

TALK = "telephony.outbound_seconds"
ESTIMATE = [UsageLine(meter=TALK, quantity=Decimal(40))]


async def open_account(target: str) -> str:
    """A customer with a dollar: the admin's part."""
    async with AdminClient(target, currency="USD") as admin:
        account_id = f"customer-{uuid4()}"
        await admin.create_account(account_id)
        await admin.add_credit(account_id, 1, external_reference=f"payment of {account_id}")
        return account_id


async def talk(call: Call) -> None:
    """Stands for a conversation of 100 seconds, and counts them. A second takes ten milliseconds here."""
    for _ in range(100):
        call.usage.add(TALK, 1)  # neither waits nor sends anything
        await asyncio.sleep(0.01)


async def main(target: str) -> None:
    """Make one call that uses up the credit, and try a second one."""
    account_id = await open_account(target)
    async with CallController(target) as controller:
        async with controller.call(account_id, estimate=ESTIMATE, call_id=str(uuid4())) as call:
            print(f"held {call.reservation.amount} USD, dialing")
            talking = asyncio.create_task(talk(call))  # meanwhile heartbeats prolong the hold and raise it
            ending = await call.wait_ending()
            print(f"no more credit ({ending.reason}): say goodbye")
            print(f"held {call.reservation.amount} USD in the end")
            await talking
        assert call.receipt is not None, "there is no spool: it was answered"
        for line in call.receipt.charge.lines:
            print(f"charged {line.price} USD for {line.line.quantity} of {line.line.meter}, which cost {line.cost}")
        try:
            async with controller.call(account_id, estimate=ESTIMATE):
                print("this is not reached")
        except InsufficientFunds as denied:
            print(f"not dialing: {denied.available} USD available, {denied.required} needed")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7400"))

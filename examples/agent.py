"""An agent: takes a call over from the controller, counts what it uses, commits at hangup, and refunds.

Start a server with `imprest serve`, publish prices with `examples/admin.py`, then run
`python examples/agent.py [host:port]`.
"""

import asyncio
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from imprest_client import AdminClient, AgentClient, UsageLine

TALK, TOKENS, SMS = "telephony.outbound_seconds", "llm.output_tokens", "messaging.sms_segments"


async def reserved_call(target: str) -> tuple[str, str]:
    """A customer, and a call that is paid for: what the call controller does before the agent comes."""
    estimate = [UsageLine(meter=TALK, quantity=Decimal(120)), UsageLine(meter=TOKENS, quantity=Decimal(10_000))]
    async with AdminClient(target, currency="USD") as admin:
        account_id = f"customer-{uuid4()}"
        await admin.create_account(account_id)
        await admin.add_credit(account_id, 5)
        receipt = await admin.reserve(account_id, estimate=estimate, call_id=str(uuid4()))
        return account_id, receipt.reservation.reservation_id


async def main(target: str, directory: Path) -> None:
    """Live through one call."""
    account_id, reservation_id = await reserved_call(target)
    # Without a network the commit stays in this file until there is one again, whatever happens to this process.
    async with AgentClient(target, currency="USD", spool=directory / "spool.db") as agent:
        async with agent.join(reservation_id) as call:
            for tokens in (1200, 830, 2150):
                call.usage.add(TOKENS, tokens, provider="openai", model="gpt-4o")
            call.usage.add(TALK, 93)
        assert call.receipt is not None, "it is in the spool, for the server did not answer"
        for line in call.receipt.charge.lines:
            print(f"{line.line.quantity:>5} {line.line.meter:<27} {line.price:>7} USD, cost {line.cost}")
        print(f"committed {call.receipt.charge.charged} USD of {call.reservation.amount} held")

        refund = await agent.refund(reservation_id=reservation_id, amount="0.01", reason="a cut-off sentence")
        print(f"refunded {refund.refunded_total} USD, {refund.balance.wallet} left")

        async with agent.recorder() as recorder:  # what belongs to no call; nothing here waits for the server
            for number in range(3):
                sent = UsageLine(meter=SMS, quantity=Decimal(1))
                recorder.record_usage(account_id, usage=[sent], call_id=f"message-{number}")
        print("recorded 3 messages")


with tempfile.TemporaryDirectory() as scratch:
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7400", Path(scratch)))

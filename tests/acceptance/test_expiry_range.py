"""An expiry whose capture no balance can carry, through gRPC."""

from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money

from imprest.v1 import account_pb2, account_service_pb2, ledger_service_pb2, reservation_pb2
from tests.conftest import Database
from tests.support import clock
from tests.support.server import running_server


def usd(units: int, nanos: int = 0) -> Money:
    return Money(currency_code="USD", units=units, nanos=nanos)


async def test_of_the_second_use_just_what_still_fits_is_charged(database: Database) -> None:
    clock.install(database.owner_dsn)
    async with running_server(database) as server:
        await server.accounts.CreateAccount(
            account_service_pb2.CreateAccountRequest(
                account=account_pb2.Account(account_id="ann", currency_code="USD"), idempotency_key="a"
            )
        )
        await server.accounts.AddCredit(
            account_service_pb2.AddCreditRequest(account_id="ann", amount=usd(10), idempotency_key="c")
        )
        holds = []
        for name, ttl in (("first", 60), ("second", 61)):
            reserved = await server.ledger.Reserve(
                ledger_service_pb2.ReserveRequest(
                    account_id="ann", amount=usd(5), ttl=Duration(seconds=ttl), idempotency_key=name
                )
            )
            holds.append(reserved.reservation.reservation_id)
            await server.ledger.Extend(
                ledger_service_pb2.ExtendRequest(
                    reservation_id=holds[-1], used_so_far=usd(2**63 - 3), idempotency_key=name
                )
            )
        clock.advance(database.owner_dsn, 3600)
        ended = [
            (
                await server.ledger.GetReservation(ledger_service_pb2.GetReservationRequest(reservation_id=hold))
            ).reservation
            for hold in holds
        ]
        assert [hold.state for hold in ended] == [reservation_pb2.RESERVATION_STATE_EXPIRED] * 2
        assert [hold.captured for hold in ended] == [usd(2**63 - 3), usd(2, 999_999_999)]
        balance = (await server.accounts.GetBalance(account_service_pb2.GetBalanceRequest(account_id="ann"))).balance
        assert (balance.held, balance.wallet) == (usd(0), usd(0))

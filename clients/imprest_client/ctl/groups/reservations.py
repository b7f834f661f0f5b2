"""`imprestctl reservations`: the holds of calls."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import Key, Limit, Reason, Yes, command
from imprest_client.ctl.rows import RESERVATION, RESERVATION_LIST, VOID_RECEIPT
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import money, parse_choice
from imprest_client.model import ReservationState

app = typer.Typer(name="reservations", help="Reservations, the holds of calls: list, show, void.")

ReservationId = Annotated[str, typer.Argument(metavar="RESERVATION", help="The reservation's id, rsv_…")]


@command(app, "list")
def list_(
    session: Session,
    account: Annotated[str, typer.Option(help="Only those of this account.", metavar="ACCOUNT")] = "",
    call: Annotated[str, typer.Option(help="Only those of this call.", metavar="ID")] = "",
    state: Annotated[str, typer.Option(help="Only those that are active, committed, voided or expired.")] = "",
    limit: Limit = None,
) -> None:
    """List reservations, newest first."""
    reservations = session.client.list_reservations(
        account_id=account,
        call_id=call,
        state=parse_choice(ReservationState, state, "state") if state else None,
        page_size=1000,
    )
    session.out.many(RESERVATION_LIST, reservations, limit=limit, nothing="no reservations")


@command(app, "show")
def show(session: Session, reservation: ReservationId) -> None:
    """Show a reservation; `imprestctl explain` tells its story."""
    session.out.one(RESERVATION, session.client.get_reservation(reservation))


@command(app, "void")
def void(session: Session, reservation: ReservationId, reason: Reason = "", key: Key = None, yes: Yes = False) -> None:
    """End a hold and free what it still holds. The call's controller is not told: it finds out at its next request."""
    if not yes:
        hold = session.client.get_reservation(reservation)
        left = max(hold.amount - hold.captured - hold.absorbed, hold.amount * 0)
        still = f" and free {money(left, hold.currency_code)}" if hold.state is ReservationState.ACTIVE else ""
        session.confirm(f"Void {reservation} of {hold.account_id}{still}?", yes)
    answer = session.client.void(reservation, reason=reason, idempotency_key=session.new_key(key))
    session.receipt(VOID_RECEIPT, answer, "The hold has ended.", replayed=answer.replayed)

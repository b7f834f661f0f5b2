"""BudgetAlerts: a subscription to the tenant's alerts, as messages."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from functools import lru_cache
from typing import Final

from imprest.v1 import budget_service_pb2 as pb
from imprest_server.budgets.hub import AlertHub, Event, Filter, token_of
from imprest_server.budgets.model import AlertLevel
from imprest_server.core.errors import InvalidArgument
from imprest_server.core.ids import TenantId
from imprest_server.transport.budgets import parse_kinds, parse_level, to_alert
from imprest_server.transport.convert import parse_account_id, parse_duration, parse_time

DEFAULT_IDLE: Final = timedelta(seconds=15)
_MIN_IDLE: Final = timedelta(seconds=1)
_MAX_IDLE: Final = timedelta(minutes=5)


async def stream_alerts(
    hub: AlertHub, tenant_id: TenantId, request: pb.BudgetAlertsRequest
) -> AsyncGenerator[pb.BudgetAlertsResponse]:
    """The messages of a stream, without end. Raises what `AlertHub.subscribe` raises."""
    idle = parse_duration(request, "checkpoint_interval")
    if idle is None:
        idle = DEFAULT_IDLE
    if not _MIN_IDLE <= idle <= _MAX_IDLE:
        raise InvalidArgument(field="checkpoint_interval", problem="must be from 1 second to 5 minutes")
    start = request.WhichOneof("start")
    if start == "resume_token" and not request.resume_token:
        raise InvalidArgument(field="resume_token", problem="must not be empty: leave it out to begin now")
    events = hub.subscribe(
        tenant_id,
        Filter(
            account_id=parse_account_id(request.account_id) if request.account_id else None,
            min_level=parse_level(request.min_level, "min_level") or AlertLevel.INFO,
            kinds=parse_kinds(request.kinds),
        ),
        resume_token=request.resume_token,
        start_time=parse_time(request, "start_time") if start == "start_time" else None,
        idle_s=idle.total_seconds(),
    )
    async with contextlib.aclosing(events):
        async for event in events:
            yield _message(tenant_id, event)


@lru_cache(maxsize=1024)  # one for all subscribers
def _message(tenant_id: TenantId, event: Event) -> pb.BudgetAlertsResponse:
    token = token_of(tenant_id, event.sequence)
    if event.stored is None:
        return pb.BudgetAlertsResponse(checkpoint=pb.AlertCheckpoint(sequence=event.sequence), resume_token=token)
    return pb.BudgetAlertsResponse(alert=to_alert(event.stored), resume_token=token)

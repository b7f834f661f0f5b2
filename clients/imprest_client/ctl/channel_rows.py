"""What the fields of channels and deliveries are called, and how they look. Names are those of the API."""

from __future__ import annotations

from typing import Final

from imprest_client.budget_model import AlertLevel
from imprest_client.channel_model import (
    Channel,
    ChannelReceipt,
    ChannelTest,
    DeleteChannelReceipt,
    Delivery,
    DeliveryReceipt,
)
from imprest_client.ctl.output import Column, Look, Row
from imprest_client.ctl.rows import Receipt


def _nothing(_: object) -> str:
    return ""


def receiver_text(channel: Channel) -> str:
    """Where it delivers to, as far as that is no secret."""
    return channel.url or ", ".join(channel.recipients)


def filter_text(channel: Channel) -> str:
    """Which alerts it gets, as people say it."""
    words = [", ".join(kind.lower().replace("_", "-") for kind in channel.kinds)] if channel.kinds else []
    if channel.min_level is not AlertLevel.INFO:  # the lowest
        words.append(f"{channel.min_level.lower()} and above")
    if channel.account_id:
        words.append(f"of {channel.account_id}")
    return "; ".join(words) or "all"


CHANNEL: Final = Row[Channel](
    (
        Column("channel_id", lambda c: c.channel_id, "channel"),
        Column("kind", lambda c: c.kind, "kind"),
        Column("display_name", lambda c: c.display_name, "name"),
        Column("receiver_words", receiver_text, "to"),
        Column("url", lambda c: c.url),
        Column("recipients", lambda c: c.recipients),
        Column("filter_words", filter_text, "alerts"),
        Column("min_level", lambda c: c.min_level),
        Column("kinds", lambda c: c.kinds),
        Column("account_id", lambda c: c.account_id),
        Column("disabled", lambda c: c.disabled, "disabled"),
        Column("create_time", lambda c: c.create_time, "created"),
        Column("update_time", lambda c: c.update_time, "changed"),
        Column("previous_secret_end_time", lambda c: c.previous_secret_end_time, "old secret until"),
    ),
    _nothing,
)

CHANNEL_LIST: Final = CHANNEL.titled(
    channel_id="channel", kind="kind", receiver_words="to", filter_words="alerts", disabled="disabled"
)

DELIVERY: Final = Row[Delivery](
    (
        Column("sequence", lambda d: d.sequence, "seq", Look.NUMBER),
        Column("channel_id", lambda d: d.channel_id, "channel"),
        Column("state", lambda d: d.state, "state", Look.STATE),
        Column("attempts", lambda d: d.attempts, "tries", Look.NUMBER),
        Column("detail", lambda d: d.detail, "latest try"),
        Column("create_time", lambda d: d.create_time, "made"),
        Column("attempt_time", lambda d: d.attempt_time, "tried"),
        Column("next_attempt_time", lambda d: d.next_attempt_time, "next try"),
        Column("alert_id", lambda d: d.alert_id, "alert", Look.ID),
    ),
    _nothing,
)

TEST: Final = Row[ChannelTest](
    (
        Column("delivered", lambda t: t.delivered, "delivered"),
        Column("detail", lambda t: t.detail, "answer"),
    ),
    _nothing,
)

# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────

CHANNEL_RECEIPT: Final = Row[Receipt[ChannelReceipt]](
    (
        *CHANNEL.titled(
            channel_id="channel", kind="kind", receiver_words="to", filter_words="alerts", disabled="disabled"
        ).nested("channel", lambda r: r.answer.channel),
        Column("signing_secret", lambda r: r.answer.signing_secret, "signing secret", Look.ID),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    _nothing,
)

DELETE_CHANNEL_RECEIPT: Final = Row[Receipt[DeleteChannelReceipt]](
    (
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    _nothing,
)

DELIVERY_RECEIPT: Final = Row[Receipt[DeliveryReceipt]](
    (
        *DELIVERY.titled(channel_id="channel", alert_id="alert", state="state").nested(
            "delivery", lambda r: r.answer.delivery
        ),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    _nothing,
)

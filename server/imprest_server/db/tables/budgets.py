"""Budgets and their counters; alerts, and the channels they are delivered to."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from imprest_server.db.tables.columns import metadata, money, required, time, values

_ALERT_KINDS = (
    "BUDGET",
    "LOW_BALANCE",
    "OVERRUN",
    "RECEIVABLE",
    "LATE_COMMIT",
    "RESERVATION_EXPIRED",
    "ANOMALY",
)

budgets = Table(
    "budgets",
    metadata,
    required("tenant_id", Text),
    required("budget_id", Text),
    required("revision", Integer),
    required("deleted", Boolean),
    required("display_name", Text),
    # The scope: an account, a label, or with neither the whole tenant.
    Column("account_id", Text),
    Column("label_key", Text),
    Column("label_value", Text),
    required("meter_prefix", Text),
    required("currency_code", Text),
    required("basis", Text),
    required("period", Text),
    required("time_zone", Text),
    money("limit_amount"),
    # [percent, level, action, action_label] each, ascending.
    required("thresholds", JSONB),
    required("epoch", BigInteger),
    time("create_time"),
    # budgets store.sql find_budget; queries.sql list_budgets
    PrimaryKeyConstraint("tenant_id", "budget_id", "revision", name="pk_budgets"),
    # budgets store.sql load_budgets; one per epoch
    UniqueConstraint("tenant_id", "epoch", name="uq_budgets_epoch"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_budgets_tenant"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_budgets_account"
    ),
    CheckConstraint("revision > 0", name="ck_budgets_revision"),
    CheckConstraint(
        "(label_key IS NULL) = (label_value IS NULL) AND (account_id IS NULL OR label_key IS NULL)",
        name="ck_budgets_scope",
    ),
    CheckConstraint(values("basis", "CHARGED", "COST"), name="ck_budgets_basis"),
    CheckConstraint(values("period", "DAY", "WEEK", "MONTH", "TOTAL"), name="ck_budgets_period"),
    CheckConstraint("limit_amount > 0", name="ck_budgets_limit_amount"),
    CheckConstraint("epoch > 0", name="ck_budgets_epoch"),
)

# No check keeps spent and held from being negative: a slip in counting must not stop a commit.
budget_counters = Table(
    "budget_counters",
    metadata,
    required("tenant_id", Text),
    required("budget_id", Text),
    # The one it counts for.
    required("revision", Integer),
    # NULL: a TOTAL budget's, without bounds.
    time("period_start", nullable=True),
    time("period_end", nullable=True),
    money("spent"),
    money("held"),
    # The highest percent whose alert has fired in this period; 0: none.
    Column("fired_percent", Numeric(6, 2), nullable=False),
    required("stopped", Boolean),
    # budgets store.sql lock_counters, update_counters
    PrimaryKeyConstraint("tenant_id", "budget_id", name="pk_budget_counters"),
    ForeignKeyConstraint(
        ["tenant_id", "budget_id", "revision"],
        ["budgets.tenant_id", "budgets.budget_id", "budgets.revision"],
        name="fk_budget_counters_budget",
    ),
    CheckConstraint(
        "(period_start IS NULL) = (period_end IS NULL) AND period_start < period_end",
        name="ck_budget_counters_period",
    ),
    CheckConstraint("fired_percent >= 0", name="ck_budget_counters_fired_percent"),
    postgresql_with={"fillfactor": 50},
)

alert_heads = Table(
    "alert_heads",
    metadata,
    required("tenant_id", Text),
    required("last_sequence", BigInteger),
    # All alerts up to this one have been deleted; 0: none.
    required("pruned_sequence", BigInteger),
    # budgets store.sql insert_alerts; the last lock of all
    PrimaryKeyConstraint("tenant_id", name="pk_alert_heads"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_alert_heads_tenant"),
    CheckConstraint("pruned_sequence >= 0 AND last_sequence >= pruned_sequence", name="ck_alert_heads_sequences"),
    postgresql_with={"fillfactor": 50},
)

# No foreign keys: what alerts name is never deleted, and they are written where money is.
alerts = Table(
    "alerts",
    metadata,
    required("tenant_id", Text),
    # Counts from 1 without gaps, in the order of commits.
    required("sequence", BigInteger),
    required("alert_id", Uuid),
    required("kind", Text),
    required("level", SmallInteger),
    time("create_time"),
    required("currency_code", Text),
    Column("account_id", Text),
    Column("reservation_id", Uuid),
    required("call_ids", ARRAY(Text)),
    Column("budget_id", Text),
    Column("revision", Integer),
    Column("percent", Numeric(6, 2)),
    Column("action", Text),
    Column("action_label", Text),
    time("period_start", nullable=True),
    time("period_end", nullable=True),
    money("spent", nullable=True),
    money("held", nullable=True),
    money("limit_amount", nullable=True),
    money("available", nullable=True),
    money("amount", nullable=True),
    # budgets queries.sql read_alerts, list_alerts
    PrimaryKeyConstraint("tenant_id", "sequence", name="pk_alerts"),
    # budgets store.sql find_alert
    UniqueConstraint("tenant_id", "alert_id", name="uq_alerts_alert_id"),
    CheckConstraint("sequence > 0", name="ck_alerts_sequence"),
    CheckConstraint(values("kind", *_ALERT_KINDS), name="ck_alerts_kind"),
    CheckConstraint("level >= 1 AND level <= 4", name="ck_alerts_level"),
    CheckConstraint(values("action", "NOTIFY", "BLOCK", "STOP_CALLS"), name="ck_alerts_action"),
    CheckConstraint(
        "kind <> 'BUDGET' OR (budget_id IS NOT NULL AND revision IS NOT NULL AND percent IS NOT NULL)",
        name="ck_alerts_budget",
    ),
    # one alert per threshold, revision and period
    Index(
        "uq_alerts_threshold",
        "tenant_id",
        "budget_id",
        "revision",
        "period_start",
        "percent",
        unique=True,
        postgresql_where=text("kind = 'BUDGET'"),
        postgresql_nulls_not_distinct=True,
    ),
)

alert_acknowledgements = Table(
    "alert_acknowledgements",
    metadata,
    required("tenant_id", Text),
    required("sequence", BigInteger),
    required("acknowledged_by", Text),
    time("create_time"),
    # budgets queries.sql read_alerts, list_alerts
    PrimaryKeyConstraint("tenant_id", "sequence", name="pk_alert_acknowledgements"),
    ForeignKeyConstraint(
        ["tenant_id", "sequence"], ["alerts.tenant_id", "alerts.sequence"], name="fk_alert_acknowledgements_alert"
    ),
)

alert_channels = Table(
    "alert_channels",
    metadata,
    required("tenant_id", Text),
    required("channel_id", Text),
    required("kind", Text),
    required("display_name", Text),
    # A webhook's. That of a SLACK channel is its secret.
    required("url", Text),
    required("recipients", ARRAY(Text)),
    # The filter.
    required("min_level", SmallInteger),
    required("kinds", ARRAY(Text)),
    Column("account_id", Text),
    required("disabled", Boolean),
    # Sealed with the operator's key.
    Column("secret", LargeBinary),
    Column("previous_secret", LargeBinary),
    time("previous_until", nullable=True),
    # Up to here alerts have been looked at.
    required("cursor_sequence", BigInteger),
    time("create_time"),
    time("update_time"),
    # budgets/channels store.sql find_channel, list_channels
    PrimaryKeyConstraint("tenant_id", "channel_id", name="pk_alert_channels"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_alert_channels_tenant"),
    ForeignKeyConstraint(
        ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.account_id"], name="fk_alert_channels_account"
    ),
    CheckConstraint(values("kind", "WEBHOOK", "SLACK", "EMAIL"), name="ck_alert_channels_kind"),
    CheckConstraint("(kind = 'WEBHOOK') = (url <> '')", name="ck_alert_channels_url"),
    CheckConstraint("(kind = 'EMAIL') = (cardinality(recipients) > 0)", name="ck_alert_channels_recipients"),
    CheckConstraint("(kind = 'EMAIL') = (secret IS NULL)", name="ck_alert_channels_secret"),
    CheckConstraint(
        "(previous_secret IS NULL) = (previous_until IS NULL) AND (kind = 'WEBHOOK' OR previous_secret IS NULL)",
        name="ck_alert_channels_previous_secret",
    ),
    CheckConstraint("min_level >= 1 AND min_level <= 4", name="ck_alert_channels_min_level"),
    CheckConstraint("cursor_sequence >= 0", name="ck_alert_channels_cursor_sequence"),
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    required("tenant_id", Text),
    required("channel_id", Text),
    required("sequence", BigInteger),
    required("state", Text),
    # Tries begun, and with which one it is given up.
    required("attempts", Integer),
    required("last_attempt", Integer),
    time("create_time"),
    # When a PENDING one is due; while it is tried, when the lease of whoever does ends.
    time("next_time"),
    time("attempt_time", nullable=True),
    required("detail", Text),
    # one delivery per alert and channel; budgets/channels store.sql list_deliveries of one channel
    PrimaryKeyConstraint("tenant_id", "channel_id", "sequence", name="pk_alert_deliveries"),
    ForeignKeyConstraint(
        ["tenant_id", "channel_id"],
        ["alert_channels.tenant_id", "alert_channels.channel_id"],
        name="fk_alert_deliveries_channel",
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "sequence"],
        ["alerts.tenant_id", "alerts.sequence"],
        name="fk_alert_deliveries_alert",
        ondelete="CASCADE",
    ),
    CheckConstraint(values("state", "PENDING", "DELIVERED", "DEAD"), name="ck_alert_deliveries_state"),
    CheckConstraint("attempts >= 0 AND last_attempt > 0", name="ck_alert_deliveries_attempts"),
    # list_deliveries of all channels; the deletion of pruned alerts
    Index("ix_alert_deliveries_alert", "tenant_id", "sequence", "channel_id"),
    # claim
    Index(
        "ix_alert_deliveries_due",
        "tenant_id",
        "channel_id",
        "next_time",
        postgresql_where=text("state = 'PENDING'"),
    ),
    postgresql_with={"fillfactor": 70},
)

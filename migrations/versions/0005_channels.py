"""Channels that alerts are delivered to, and what became of each alert on each of them.

Secrets are sealed before they come here. Deliveries go with their channel, and with their alert when that is pruned.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The owner of the tables deletes deliveries, by foreign key.
_GRANTS = {
    "alert_channels": "SELECT, INSERT, UPDATE, DELETE",
    "alert_deliveries": "SELECT, INSERT, UPDATE",
}

_ALERT_CHANNELS = """
CREATE TABLE alert_channels (
    tenant_id       text        NOT NULL,
    channel_id      text        NOT NULL,
    kind            text        NOT NULL,
    display_name    text        NOT NULL,
    url             text        NOT NULL,
    recipients      text[]      NOT NULL,
    min_level       smallint    NOT NULL,
    kinds           text[]      NOT NULL,
    account_id      text,
    disabled        boolean     NOT NULL,
    secret          bytea,
    previous_secret bytea,
    previous_until  timestamptz,
    cursor_sequence bigint      NOT NULL,
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,
    CONSTRAINT pk_alert_channels PRIMARY KEY (tenant_id, channel_id),
    CONSTRAINT fk_alert_channels_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    CONSTRAINT fk_alert_channels_account
        FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, account_id),
    CONSTRAINT ck_alert_channels_kind CHECK (kind IN ('WEBHOOK', 'SLACK', 'EMAIL')),
    CONSTRAINT ck_alert_channels_url CHECK ((kind = 'WEBHOOK') = (url <> '')),
    CONSTRAINT ck_alert_channels_recipients CHECK ((kind = 'EMAIL') = (cardinality(recipients) > 0)),
    CONSTRAINT ck_alert_channels_secret CHECK ((kind = 'EMAIL') = (secret IS NULL)),
    CONSTRAINT ck_alert_channels_previous_secret CHECK (
        (previous_secret IS NULL) = (previous_until IS NULL) AND (kind = 'WEBHOOK' OR previous_secret IS NULL)
    ),
    CONSTRAINT ck_alert_channels_min_level CHECK (min_level >= 1 AND min_level <= 4),
    CONSTRAINT ck_alert_channels_cursor_sequence CHECK (cursor_sequence >= 0)
);
"""

_ALERT_DELIVERIES = """
CREATE TABLE alert_deliveries (
    tenant_id    text        NOT NULL,
    channel_id   text        NOT NULL,
    sequence     bigint      NOT NULL,
    state        text        NOT NULL,
    attempts     integer     NOT NULL,
    last_attempt integer     NOT NULL,
    create_time  timestamptz NOT NULL,
    next_time    timestamptz NOT NULL,
    attempt_time timestamptz,
    detail       text        NOT NULL,
    CONSTRAINT pk_alert_deliveries PRIMARY KEY (tenant_id, channel_id, sequence),
    CONSTRAINT fk_alert_deliveries_channel
        FOREIGN KEY (tenant_id, channel_id) REFERENCES alert_channels (tenant_id, channel_id) ON DELETE CASCADE,
    CONSTRAINT fk_alert_deliveries_alert
        FOREIGN KEY (tenant_id, sequence) REFERENCES alerts (tenant_id, sequence) ON DELETE CASCADE,
    CONSTRAINT ck_alert_deliveries_state CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD')),
    CONSTRAINT ck_alert_deliveries_attempts CHECK (attempts >= 0 AND last_attempt > 0)
) WITH (fillfactor = 70);

CREATE INDEX ix_alert_deliveries_alert ON alert_deliveries (tenant_id, sequence, channel_id);
CREATE INDEX ix_alert_deliveries_due ON alert_deliveries (tenant_id, channel_id, next_time) WHERE state = 'PENDING';
"""

# As in 0001.
_VISIBLE = (
    "array_position((SELECT string_to_array(current_setting('imprest.tenants', true), ',')), tenant_id) IS NOT NULL"
)


def upgrade() -> None:
    """Add the tables and protect them like the others."""
    op.execute(_ALERT_CHANNELS)
    op.execute(_ALERT_DELIVERIES)
    for table, privileges in _GRANTS.items():
        op.execute(f"REVOKE ALL ON {table} FROM PUBLIC")
        op.execute(f"GRANT {privileges} ON {table} TO imprest_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO imprest_app USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})")

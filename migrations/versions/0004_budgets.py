"""Budgets, the counter that each one keeps, and alerts with their acknowledgements.

Definitions are only ever added, as revisions. Alerts are only ever added, too, until they are old enough to be pruned.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Counters and heads are the rows that change. Nothing but old alerts is ever deleted.
_GRANTS = {
    "budgets": "SELECT, INSERT",
    "budget_counters": "SELECT, INSERT, UPDATE",
    "alert_heads": "SELECT, INSERT, UPDATE",
    "alerts": "SELECT, INSERT, DELETE",
    "alert_acknowledgements": "SELECT, INSERT, DELETE",
}

_TENANTS = """
ALTER TABLE tenants ADD COLUMN budget_epoch bigint NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD CONSTRAINT ck_tenants_budget_epoch CHECK (budget_epoch >= 0);
"""

_RESERVATIONS = """
ALTER TABLE reservations ADD COLUMN estimate jsonb;
"""

_BUDGETS = """
CREATE TABLE budgets (
    tenant_id     text           NOT NULL,
    budget_id     text           NOT NULL,
    revision      integer        NOT NULL,
    deleted       boolean        NOT NULL,
    display_name  text           NOT NULL,
    account_id    text,
    label_key     text,
    label_value   text,
    meter_prefix  text           NOT NULL,
    currency_code text           NOT NULL,
    basis         text           NOT NULL,
    period        text           NOT NULL,
    time_zone     text           NOT NULL,
    limit_amount  numeric(38, 9) NOT NULL,
    thresholds    jsonb          NOT NULL,
    epoch         bigint         NOT NULL,
    create_time   timestamptz    NOT NULL,
    CONSTRAINT pk_budgets PRIMARY KEY (tenant_id, budget_id, revision),
    CONSTRAINT uq_budgets_epoch UNIQUE (tenant_id, epoch),
    CONSTRAINT fk_budgets_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    CONSTRAINT fk_budgets_account FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, account_id),
    CONSTRAINT ck_budgets_revision CHECK (revision > 0),
    CONSTRAINT ck_budgets_scope CHECK (
        (label_key IS NULL) = (label_value IS NULL) AND (account_id IS NULL OR label_key IS NULL)
    ),
    CONSTRAINT ck_budgets_basis CHECK (basis IN ('CHARGED', 'COST')),
    CONSTRAINT ck_budgets_period CHECK (period IN ('DAY', 'WEEK', 'MONTH', 'TOTAL')),
    CONSTRAINT ck_budgets_limit_amount CHECK (limit_amount > 0),
    CONSTRAINT ck_budgets_epoch CHECK (epoch > 0)
);
"""

# One row per budget, locked and updated by every operation that the budget counts.
_BUDGET_COUNTERS = """
CREATE TABLE budget_counters (
    tenant_id     text           NOT NULL,
    budget_id     text           NOT NULL,
    revision      integer        NOT NULL,
    period_start  timestamptz,
    period_end    timestamptz,
    spent         numeric(38, 9) NOT NULL,
    held          numeric(38, 9) NOT NULL,
    fired_percent numeric(6, 2)  NOT NULL,
    stopped       boolean        NOT NULL,
    CONSTRAINT pk_budget_counters PRIMARY KEY (tenant_id, budget_id),
    CONSTRAINT fk_budget_counters_budget
        FOREIGN KEY (tenant_id, budget_id, revision) REFERENCES budgets (tenant_id, budget_id, revision),
    CONSTRAINT ck_budget_counters_period
        CHECK ((period_start IS NULL) = (period_end IS NULL) AND period_start < period_end),
    CONSTRAINT ck_budget_counters_fired_percent CHECK (fired_percent >= 0)
) WITH (fillfactor = 50);
"""

_ALERT_HEADS = """
CREATE TABLE alert_heads (
    tenant_id       text   NOT NULL,
    last_sequence   bigint NOT NULL,
    pruned_sequence bigint NOT NULL,
    CONSTRAINT pk_alert_heads PRIMARY KEY (tenant_id),
    CONSTRAINT fk_alert_heads_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    CONSTRAINT ck_alert_heads_sequences CHECK (pruned_sequence >= 0 AND last_sequence >= pruned_sequence)
) WITH (fillfactor = 50);
"""

# No foreign keys: what alerts name is never deleted, and they are written where money is.
_ALERTS = """
CREATE TABLE alerts (
    tenant_id      text        NOT NULL,
    sequence       bigint      NOT NULL,
    alert_id       uuid        NOT NULL,
    kind           text        NOT NULL,
    level          smallint    NOT NULL,
    create_time    timestamptz NOT NULL,
    currency_code  text        NOT NULL,
    account_id     text,
    reservation_id uuid,
    call_ids       text[]      NOT NULL,
    budget_id      text,
    revision       integer,
    percent        numeric(6, 2),
    action         text,
    action_label   text,
    period_start   timestamptz,
    period_end     timestamptz,
    spent          numeric(38, 9),
    held           numeric(38, 9),
    limit_amount   numeric(38, 9),
    available      numeric(38, 9),
    amount         numeric(38, 9),
    CONSTRAINT pk_alerts PRIMARY KEY (tenant_id, sequence),
    CONSTRAINT uq_alerts_alert_id UNIQUE (tenant_id, alert_id),
    CONSTRAINT ck_alerts_sequence CHECK (sequence > 0),
    CONSTRAINT ck_alerts_kind CHECK (kind IN (
        'BUDGET', 'LOW_BALANCE', 'OVERRUN', 'RECEIVABLE', 'LATE_COMMIT', 'RESERVATION_EXPIRED', 'ANOMALY'
    )),
    CONSTRAINT ck_alerts_level CHECK (level >= 1 AND level <= 4),
    CONSTRAINT ck_alerts_action CHECK (action IN ('NOTIFY', 'BLOCK', 'STOP_CALLS')),
    CONSTRAINT ck_alerts_budget CHECK (
        kind <> 'BUDGET' OR (budget_id IS NOT NULL AND revision IS NOT NULL AND percent IS NOT NULL)
    )
);

CREATE UNIQUE INDEX uq_alerts_threshold ON alerts (tenant_id, budget_id, revision, period_start, percent)
    NULLS NOT DISTINCT WHERE kind = 'BUDGET';
"""

_ALERT_ACKNOWLEDGEMENTS = """
CREATE TABLE alert_acknowledgements (
    tenant_id       text        NOT NULL,
    sequence        bigint      NOT NULL,
    acknowledged_by text        NOT NULL,
    create_time     timestamptz NOT NULL,
    CONSTRAINT pk_alert_acknowledgements PRIMARY KEY (tenant_id, sequence),
    CONSTRAINT fk_alert_acknowledgements_alert
        FOREIGN KEY (tenant_id, sequence) REFERENCES alerts (tenant_id, sequence)
);
"""

# As in 0001.
_VISIBLE = (
    "array_position((SELECT string_to_array(current_setting('imprest.tenants', true), ',')), tenant_id) IS NOT NULL"
)

# As in 0001: what the planner is shown until there are real rows to count.
_SAMPLE = """
INSERT INTO budgets
SELECT
    'default', 'b' || i % 500, i / 500 + 1, false, '', NULL, NULL, NULL, '', 'USD', 'CHARGED', 'DAY', 'UTC', 1, '[]',
    i + 1, now()
FROM generate_series(0, 1999) AS i;

INSERT INTO budget_counters
SELECT 'default', 'b' || i, 1, now(), now() + interval '1 day', 0, 0, 0, false FROM generate_series(0, 499) AS i;

INSERT INTO alerts
SELECT
    'default', i, gen_random_uuid(), 'BUDGET', 2, now(), 'USD', NULL, NULL, '{}', 'b' || i % 500, i / 500 + 1, 80,
    'NOTIFY', '', now(), now() + interval '1 day', 0, 0, 1, NULL, NULL
FROM generate_series(1, 4000) AS i;

INSERT INTO alert_acknowledgements SELECT 'default', i * 2, '', now() FROM generate_series(1, 2000) AS i;

ANALYZE budgets, budget_counters, alerts, alert_acknowledgements;
SAVEPOINT emptied;
TRUNCATE budgets, budget_counters, alerts, alert_acknowledgements;
RELEASE SAVEPOINT emptied;
"""


def upgrade() -> None:
    """Add columns and tables, protect them like the others, show the planner."""
    for ddl in (
        _TENANTS,
        _RESERVATIONS,
        _BUDGETS,
        _BUDGET_COUNTERS,
        _ALERT_HEADS,
        _ALERTS,
        _ALERT_ACKNOWLEDGEMENTS,
    ):
        op.execute(ddl)
    op.execute("GRANT UPDATE (budget_epoch) ON tenants TO imprest_app")
    for table, privileges in _GRANTS.items():
        op.execute(f"REVOKE ALL ON {table} FROM PUBLIC")
        op.execute(f"GRANT {privileges} ON {table} TO imprest_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO imprest_app USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})")
    op.execute(_SAMPLE)

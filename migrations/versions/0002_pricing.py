"""Pricing: price books, their versions, prices, who is priced by which book, exchange rates.

All rows are only ever added. The server may write one column of `tenants`, the price epoch, and lock that row.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("price_books", "price_versions", "prices", "price_assignments", "exchange_rates")

_TENANTS = """
ALTER TABLE tenants ADD COLUMN price_epoch bigint NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD CONSTRAINT ck_tenants_price_epoch CHECK (price_epoch >= 0);
"""

_PRICE_BOOKS = """
CREATE TABLE price_books (
    tenant_id     text        NOT NULL,
    price_book_id text        NOT NULL,
    side          text        NOT NULL,
    currency_code text        NOT NULL,
    display_name  text        NOT NULL,
    account_id    text,
    epoch         bigint      NOT NULL,
    create_time   timestamptz NOT NULL,
    CONSTRAINT pk_price_books PRIMARY KEY (tenant_id, price_book_id),
    CONSTRAINT uq_price_books_epoch UNIQUE (tenant_id, epoch),
    CONSTRAINT fk_price_books_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    CONSTRAINT fk_price_books_account FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, account_id),
    CONSTRAINT ck_price_books_side CHECK (side IN ('COST', 'SALE')),
    CONSTRAINT ck_price_books_epoch CHECK (epoch > 0)
);

CREATE UNIQUE INDEX uq_price_books_override ON price_books (tenant_id, account_id, side, currency_code)
    WHERE account_id IS NOT NULL;
"""

_PRICE_VERSIONS = """
CREATE TABLE price_versions (
    tenant_id      text        NOT NULL,
    version_id     uuid        NOT NULL,
    price_book_id  text        NOT NULL,
    number         integer     NOT NULL,
    epoch          bigint      NOT NULL,
    effective_time timestamptz NOT NULL,
    create_time    timestamptz NOT NULL,
    CONSTRAINT pk_price_versions PRIMARY KEY (tenant_id, version_id),
    CONSTRAINT uq_price_versions_number UNIQUE (tenant_id, price_book_id, number),
    CONSTRAINT uq_price_versions_epoch UNIQUE (tenant_id, epoch),
    CONSTRAINT fk_price_versions_book
        FOREIGN KEY (tenant_id, price_book_id) REFERENCES price_books (tenant_id, price_book_id),
    CONSTRAINT ck_price_versions_number CHECK (number > 0),
    CONSTRAINT ck_price_versions_epoch CHECK (epoch > 0)
);
"""

# No foreign key to the version: thousands of prices are inserted before the tenant's row is locked, and it after them.
_PRICES = """
CREATE TABLE prices (
    tenant_id          text            NOT NULL,
    version_id         uuid            NOT NULL,
    meter              text            NOT NULL,
    provider           text            NOT NULL,
    model              text            NOT NULL,
    destination_prefix text            NOT NULL,
    charge_model       text            NOT NULL,
    unit_price         numeric(38, 18) NOT NULL,
    per_quantity       numeric(38, 18) NOT NULL,
    tiers              jsonb           NOT NULL,
    increment_first    numeric(38, 18),
    increment_next     numeric(38, 18),
    minimum_quantity   numeric(38, 18) NOT NULL,
    connect_fee        numeric(38, 18) NOT NULL,
    minimum_charge     numeric(38, 18),
    maximum_charge     numeric(38, 18),
    free_quantity      numeric(38, 18) NOT NULL,
    margin_percent     numeric(38, 18),
    markup             numeric(38, 18),
    source             text            NOT NULL,
    CONSTRAINT pk_prices PRIMARY KEY (tenant_id, version_id, meter, provider, model, destination_prefix),
    CONSTRAINT ck_prices_charge_model
        CHECK (charge_model IN ('PER_UNIT', 'GRADUATED', 'VOLUME', 'PACKAGE', 'FLAT', 'PERCENTAGE')),
    CONSTRAINT ck_prices_amounts CHECK (
        unit_price >= 0 AND connect_fee >= 0 AND minimum_charge >= 0 AND maximum_charge >= 0 AND markup >= 0
    ),
    CONSTRAINT ck_prices_quantities CHECK (
        per_quantity > 0 AND increment_first > 0 AND increment_next > 0 AND minimum_quantity >= 0
        AND free_quantity >= 0
    ),
    CONSTRAINT ck_prices_derived CHECK (margin_percent IS NULL OR markup IS NULL)
);
"""

_PRICE_ASSIGNMENTS = """
CREATE TABLE price_assignments (
    tenant_id      text        NOT NULL,
    epoch          bigint      NOT NULL,
    side           text        NOT NULL,
    currency_code  text        NOT NULL,
    account_id     text,
    price_book_id  text,
    effective_time timestamptz NOT NULL,
    create_time    timestamptz NOT NULL,
    CONSTRAINT pk_price_assignments PRIMARY KEY (tenant_id, epoch),
    CONSTRAINT fk_price_assignments_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    CONSTRAINT fk_price_assignments_account
        FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, account_id),
    CONSTRAINT fk_price_assignments_book
        FOREIGN KEY (tenant_id, price_book_id) REFERENCES price_books (tenant_id, price_book_id),
    CONSTRAINT ck_price_assignments_side CHECK (side IN ('COST', 'SALE')),
    CONSTRAINT ck_price_assignments_epoch CHECK (epoch > 0)
);
"""

_EXCHANGE_RATES = """
CREATE TABLE exchange_rates (
    tenant_id      text            NOT NULL,
    epoch          bigint          NOT NULL,
    price_book_id  text            NOT NULL,
    currency_code  text            NOT NULL,
    rate           numeric(38, 18) NOT NULL,
    effective_time timestamptz     NOT NULL,
    create_time    timestamptz     NOT NULL,
    CONSTRAINT pk_exchange_rates PRIMARY KEY (tenant_id, epoch),
    CONSTRAINT fk_exchange_rates_book
        FOREIGN KEY (tenant_id, price_book_id) REFERENCES price_books (tenant_id, price_book_id),
    CONSTRAINT ck_exchange_rates_rate CHECK (rate > 0),
    CONSTRAINT ck_exchange_rates_epoch CHECK (epoch > 0)
);
"""

# As in 0001.
_VISIBLE = (
    "array_position((SELECT string_to_array(current_setting('imprest.tenants', true), ',')), tenant_id) IS NOT NULL"
)

# As in 0001: what the planner is shown until there are real rows to count.
_SAMPLE = """
INSERT INTO price_books SELECT 'default', 'b' || i, 'SALE', 'USD', '', NULL, i, now() FROM generate_series(1, 100) AS i;

INSERT INTO price_versions
SELECT 'default', gen_random_uuid(), 'b' || i % 100 + 1, i / 100 + 1, i + 1, now(), now()
FROM generate_series(0, 1999) AS i;

INSERT INTO prices
SELECT
    'default', v.version_id, 'm' || i % 10, 'p', 'm' || i, '', 'PER_UNIT', 1, 1, '[]', NULL, NULL, 0, 0, NULL, NULL, 0,
    NULL, NULL, ''
FROM (SELECT version_id FROM price_versions ORDER BY version_id LIMIT 100) AS v, generate_series(1, 100) AS i;

INSERT INTO price_assignments
SELECT 'default', i, 'SALE', 'USD', NULL, 'b' || i % 100 + 1, now(), now() FROM generate_series(1, 2000) AS i;

INSERT INTO exchange_rates
SELECT 'default', i, 'b' || i % 100 + 1, 'EUR', 1, now(), now() FROM generate_series(1, 2000) AS i;

ANALYZE price_books, price_versions, prices, price_assignments, exchange_rates;
SAVEPOINT emptied;
TRUNCATE price_books, price_versions, prices, price_assignments, exchange_rates;
RELEASE SAVEPOINT emptied;
"""


def upgrade() -> None:
    """Create the tables, protect them like the others, let the server count epochs, show the planner."""
    for ddl in (_TENANTS, _PRICE_BOOKS, _PRICE_VERSIONS, _PRICES, _PRICE_ASSIGNMENTS, _EXCHANGE_RATES):
        op.execute(ddl)
    op.execute("GRANT UPDATE (price_epoch) ON tenants TO imprest_app")
    for table in _TABLES:
        op.execute(f"REVOKE ALL ON {table} FROM PUBLIC")
        op.execute(f"GRANT SELECT, INSERT ON {table} TO imprest_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO imprest_app USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})")
    op.execute(_SAMPLE)

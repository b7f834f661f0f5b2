-- The reads of a tenant's prices. Columns stand in the order of rows.py.

-- name: list_books
SELECT tenant_id, price_book_id, side, currency_code, display_name, account_id, create_time
FROM price_books
WHERE tenant_id = %(tenant)s {filters}
ORDER BY price_book_id
LIMIT %(limit)s

-- name: books_of_nobody
AND account_id IS NULL

-- name: books_of_account
AND account_id = %(account)s

-- name: books_of_side
AND side = %(side)s

-- name: books_of_currency
AND currency_code = %(currency)s

-- name: books_of_page
AND price_book_id > %(after)s

-- name: get_book
SELECT tenant_id, price_book_id, side, currency_code, display_name, account_id, create_time
FROM price_books
WHERE tenant_id = %(tenant)s AND price_book_id = %(book)s

-- name: list_versions
SELECT price_book_id, version_id, number, epoch, effective_time, create_time
FROM price_versions
WHERE tenant_id = %(tenant)s AND price_book_id = %(book)s AND number < %(before)s
ORDER BY number DESC
LIMIT %(limit)s

-- name: get_version
SELECT price_book_id, version_id, number, epoch, effective_time, create_time
FROM price_versions
WHERE tenant_id = %(tenant)s AND price_book_id = %(book)s AND version_id = %(version)s

-- name: version_in_force
-- At an instant (NULL: now), of all that is published.
WITH clock AS MATERIALIZED (SELECT coalesce(%(at)s::timestamptz, clock_timestamp()) AS at)
SELECT price_book_id, version_id, number, epoch, effective_time, create_time
FROM price_versions
WHERE
    tenant_id = %(tenant)s AND price_book_id = %(book)s AND effective_time <= (SELECT clock.at FROM clock)
ORDER BY effective_time DESC, number DESC
LIMIT 1

-- name: list_assignments
-- Those in force at an instant (NULL: now) and later ones: each holds until the next one of the same side, currency and
-- account begins; of equals the one made last holds.
WITH
    clock AS MATERIALIZED (SELECT coalesce(%(at)s::timestamptz, clock_timestamp()) AS at),
    spans AS (
        SELECT
            side, currency_code, account_id, price_book_id, epoch, effective_time,
            lead(effective_time) OVER (
                PARTITION BY side, currency_code, account_id ORDER BY effective_time, epoch
            ) AS end_time
        FROM price_assignments
        WHERE tenant_id = %(tenant)s {filters}
    )
SELECT spans.side, spans.currency_code, spans.account_id, spans.price_book_id, spans.epoch, spans.effective_time
FROM spans CROSS JOIN clock
WHERE
    spans.epoch < %(before)s
    AND (spans.end_time IS NULL OR (spans.end_time > clock.at AND spans.end_time > spans.effective_time))
    AND (spans.price_book_id = %(book)s OR (%(book)s::text IS NULL AND (
        spans.price_book_id IS NOT NULL OR spans.effective_time > clock.at
    )))
ORDER BY spans.epoch DESC
LIMIT %(limit)s

-- name: assignments_of_account
AND account_id = %(account)s

-- name: assignments_of_tenant
AND account_id IS NULL

-- name: list_prices
SELECT
    meter, provider, model, destination_prefix, charge_model, trim_scale(unit_price), trim_scale(per_quantity), tiers,
    trim_scale(increment_first), trim_scale(increment_next), trim_scale(minimum_quantity), trim_scale(connect_fee),
    trim_scale(minimum_charge), trim_scale(maximum_charge), trim_scale(free_quantity), trim_scale(margin_percent),
    trim_scale(markup), source
FROM prices
WHERE tenant_id = %(tenant)s AND version_id = %(version)s {filters}
ORDER BY meter, provider, model, destination_prefix
OFFSET %(offset)s
LIMIT %(limit)s

-- name: prices_of_meter
AND meter = %(meter)s

-- name: prices_of_provider
AND provider = %(provider)s

-- name: prices_of_model
AND model = %(model)s

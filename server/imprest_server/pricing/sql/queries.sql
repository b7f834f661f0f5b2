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

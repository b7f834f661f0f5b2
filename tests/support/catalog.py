"""What a database's catalogs say about our tables, in a form that two databases can be compared by."""

import psycopg

Facts = dict[tuple[str, str, str], object]

_TABLES = """
SELECT 'table', relname, '', relkind::text, relpersistence::text, relispartition, reloptions
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'I') AND relname <> 'alembic_version'
"""
_COLUMNS = """
SELECT
    'column', c.relname, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation,
    a.attidentity::text, a.attgenerated::text, a.attstorage::text, a.attoptions,
    pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'alembic_version'
"""
_CONSTRAINTS = """
SELECT 'constraint', c.relname, k.conname, k.convalidated, pg_get_constraintdef(k.oid)
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid AND c.relnamespace = 'public'::regnamespace
WHERE c.relname <> 'alembic_version'
"""
_INDEXES = """
SELECT 'index', c.relname, i.relname, x.indisunique, x.indisvalid, i.reloptions, pg_get_indexdef(x.indexrelid)
FROM pg_index AS x
JOIN pg_class AS c ON c.oid = x.indrelid AND c.relnamespace = 'public'::regnamespace
JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE c.relname <> 'alembic_version'
"""
_CODE = """
SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function', '', proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'rule', tablename, rulename, definition FROM pg_rules WHERE schemaname = 'public'
"""


def facts(connection: psycopg.Connection) -> Facts:
    """Everything in the schema `public` but grants and policies, by kind, table and name."""
    found: Facts = {}
    for query in (_TABLES, _COLUMNS, _CONSTRAINTS, _INDEXES, _CODE):
        for kind, table, name, *rest in connection.execute(query):
            found[kind, table, name] = rest
    return found


def differences(one: Facts, other: Facts) -> dict[tuple[str, str, str], tuple[object, object]]:
    """What is not the same in both, with the two versions of it (None: absent)."""
    names = sorted(one.keys() | other.keys())
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}

"""What the database knows of a table: its shape, for comparing before and after."""

from typing import Any

import psycopg

_SHAPE = """
SELECT 'column', attname::text, format_type(atttypid, atttypmod), attnotnull::text
FROM pg_attribute WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint', conname, pg_get_constraintdef(oid), convalidated::text
FROM pg_constraint WHERE conrelid = %(table)s::regclass
UNION ALL
SELECT 'index', indexname, indexdef, '' FROM pg_indexes WHERE tablename = %(table)s::regclass::text
UNION ALL
SELECT 'owner', pg_get_userbyid(relowner), relpersistence::text,
       coalesce(array_to_string(reloptions, ','), '')
FROM pg_class WHERE oid = %(table)s::regclass
UNION ALL
SELECT 'grant', pg_get_userbyid(a.grantee), a.privilege_type, a.is_grantable::text
FROM pg_class, aclexplode(relacl) AS a WHERE oid = %(table)s::regclass
ORDER BY 1, 2, 3"""


def shape(connection: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    """Columns, constraints, indexes, owner, options and grants, in a fixed order."""
    return connection.execute(_SHAPE, {"table": table}).fetchall()


def tables(connection: psycopg.Connection) -> set[str]:
    """Every table and index of the schema."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    )
    return {row[0] for row in rows}

"""The table that will replace a view: made from the catalogue, so that no migration is missed.

It has the live table's columns, checks, owner, grants and storage from the start, its key where
the fold needs one, and every other index once it is full.
"""

import hashlib
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import class_row

from projections.errors import RebuildRefusedError
from projections.views import View

_FOREIGN = b"""
SELECT what FROM (
    SELECT 1 AS n, 'it belongs to another role (set MIGRATION_DATABASE_URL to the owner''s)' AS what
    FROM pg_class WHERE oid = %(live)s::regclass AND NOT pg_has_role(relowner, 'MEMBER')
    UNION ALL
    SELECT 2, 'the view ' || min(r.ev_class::regclass::text) || ' reads it' FROM pg_depend AS d
    JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %(live)s::regclass
    HAVING count(*) > 0
    UNION ALL
    SELECT 3, 'it has the trigger ' || min(tgname) FROM pg_trigger
    WHERE tgrelid = %(live)s::regclass AND NOT tgisinternal HAVING count(*) > 0
    UNION ALL
    SELECT 4, 'the foreign key ' || min(conname) || ' hangs on it' FROM pg_constraint
    WHERE contype = 'f' AND %(live)s::regclass IN (conrelid, confrelid) HAVING count(*) > 0
    UNION ALL
    SELECT 5, 'it has row security' FROM pg_class
    WHERE oid = %(live)s::regclass AND relrowsecurity
) AS found ORDER BY n LIMIT 1"""
_DRESS = b"""
SELECT format('ALTER TABLE %%I OWNER TO %%I', %(shadow)s::text, pg_get_userbyid(relowner))
FROM pg_class WHERE oid = %(live)s::regclass
UNION ALL
SELECT format('ALTER TABLE %%I SET (%%s)', %(shadow)s::text, array_to_string(reloptions, ', '))
FROM pg_class WHERE oid = %(live)s::regclass AND reloptions IS NOT NULL
UNION ALL
SELECT format('GRANT %%s ON %%I TO %%s%%s', a.privilege_type, %(shadow)s::text,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_class, aclexplode(relacl) AS a
WHERE oid = %(live)s::regclass AND a.grantee <> relowner"""
# By position in the catalogue's own text: the name and the table stand before USING.
_INDEXES = b"""
SELECT live.relname AS name, 'rebuild_' || live.relname AS shadow_name, i.indisprimary AS is_key,
       replace(pg_get_indexdef(i.indexrelid),
               format(' INDEX %%I ON %%I.%%I USING', live.relname, n.nspname, t.relname),
               format(' INDEX %%I ON %%I.%%I USING', 'rebuild_' || live.relname, n.nspname,
                      %(shadow)s::text)) AS definition,
       CASE c.contype WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' END AS "constraint",
       EXISTS (SELECT FROM pg_class AS known
               WHERE known.relname = 'rebuild_' || live.relname
                   AND known.relnamespace = live.relnamespace) AS is_made,
       EXISTS (SELECT FROM pg_constraint AS known
               WHERE known.conname = 'rebuild_' || live.relname
                   AND known.conrelid = to_regclass(%(shadow)s)) AS is_constrained
FROM pg_index AS i
JOIN pg_class AS live ON live.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = t.relnamespace
LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
WHERE i.indrelid = %(live)s::regclass
ORDER BY live.relname"""


# What `make` takes over from the live table when it begins.
_LIKENESS = b"""
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %(live)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conname::text, pg_get_constraintdef(oid), '' FROM pg_constraint
WHERE conrelid = %(live)s::regclass AND contype = 'c'
UNION ALL
SELECT 'table', pg_get_userbyid(relowner)::text, coalesce(reloptions::text, ''),
       coalesce(relacl::text, '')
FROM pg_class WHERE oid = %(live)s::regclass
ORDER BY 1, 2, 3"""


class Index(msgspec.Struct, frozen=True):
    """An index of the live table, and what its counterpart is called meanwhile."""

    name: str
    shadow_name: str
    is_key: bool
    definition: str
    constraint: str | None
    is_made: bool
    is_constrained: bool


def shadow_name(view: View) -> str:
    """What the table is called until it takes the view's place."""
    return f"{view.name}_rebuild"


def replaced_name(view: View) -> str:
    """What the old table is called until it is dropped."""
    return f"{view.name}_replaced"


def check(connection: psycopg.Connection[Any], view: View) -> None:
    """Raise `RebuildRefusedError` where the live table has what a new one would lose."""
    row = connection.execute(_FOREIGN, {"live": view.name}).fetchone()
    if row is not None:
        raise RebuildRefusedError(f"{view.name} cannot be rebuilt: {row[0]}")


def fingerprint(connection: psycopg.Connection[Any], view: View) -> str:
    """Another one, where the view's fold or the live table is another one."""
    rows = connection.execute(_LIKENESS, {"live": view.name}).fetchall()
    document = msgspec.json.encode((view.reading, view.writing, view.topics, rows))
    return hashlib.sha256(document).hexdigest()


def make(connection: psycopg.Connection[Any], view: View) -> None:
    """Make the empty table, in place of any leftover. The caller holds the transaction."""
    drop(connection, view)
    names = {"shadow": sql.Identifier(shadow_name(view)), "live": sql.Identifier(view.name)}
    create = "CREATE TABLE {shadow} (LIKE {live} INCLUDING ALL EXCLUDING INDEXES)"
    connection.execute(sql.SQL(create).format(**names))
    known = {"shadow": shadow_name(view), "live": view.name}
    for (statement,) in connection.execute(_DRESS, known).fetchall():
        connection.execute(statement.encode())
    if view.upserts:
        for index in indexes(connection, view):
            if index.is_key:
                add_index(connection, index)
        add_constraints(connection, view)


def drop(connection: psycopg.Connection[Any], view: View) -> None:
    """Drop what an earlier rebuild has left."""
    for name in (shadow_name(view), replaced_name(view)):
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))


def indexes(connection: psycopg.Connection[Any], view: View) -> list[Index]:
    """The live table's indexes, and whether each has its counterpart."""
    with connection.cursor(row_factory=class_row(Index)) as cursor:
        names = {"live": view.name, "shadow": shadow_name(view)}
        return cursor.execute(_INDEXES, names).fetchall()


def lacking_indexes(connection: psycopg.Connection[Any], view: View) -> list[Index]:
    """Those that are still to be built."""
    return [index for index in indexes(connection, view) if not index.is_made]


def add_index(connection: psycopg.Connection[Any], index: Index) -> None:
    """Build it; beside others of the same table, if need be."""
    connection.execute(index.definition.encode())


def add_constraints(connection: psycopg.Connection[Any], view: View) -> None:
    """Make constraints of those indexes that are one in the live table, where they are built."""
    add = "ALTER TABLE {} ADD CONSTRAINT {name} {} USING INDEX {name}"
    for index in indexes(connection, view):
        if index.constraint and index.is_made and not index.is_constrained:
            connection.execute(
                sql.SQL(add).format(
                    sql.Identifier(shadow_name(view)),
                    sql.SQL(index.constraint),
                    name=sql.Identifier(index.shadow_name),
                )
            )

"""Rows written by statements that are compiled once: where somebody waits for them.

What the ORM spends on building an INSERT anew is five times what PostgreSQL spends on it. Fields
prepare their own values, so a row is the same as `save` would have made; signals are not sent.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from django.db import connection, models

_ID: Final = "id"


class Statement(NamedTuple):
    """SQL with its values; ``touches``: how many rows it must."""

    sql: str
    values: Sequence[Any] | Mapping[str, Any]
    touches: int = 1


def rows_insert(*rows: models.Model) -> None:
    """Insert rows of one model in one statement and give them their keys; joins a transaction.

    Raises: IntegrityError, as saving does; what a field raises for a value.
    """
    inserted = insert_of(*rows)
    with connection.cursor() as cursor:
        cursor.execute(f"{inserted.sql} RETURNING {_ID}", inserted.values)
        for row, (key,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = key
            row._state.adding, row._state.db = False, connection.alias


def insert_of(*rows: models.Model) -> Statement:
    """What inserts rows of one model, for whoever executes it on a connection of its own.

    Rows that have their keys keep them; the others are given keys by the database.
    """
    head, one, fields = _statement(type(rows[0]), rows[0].pk is not None)
    values = [
        field.get_db_prep_save(field.pre_save(row, add=True), connection)
        for row in rows
        for field in fields
    ]
    return Statement(f"{head} {', '.join([one] * len(rows))}", values, touches=len(rows))


def update_of(row: models.Model, names: Iterable[str], *, where: str) -> Statement:
    """What writes these attributes of a row to the record; ``where``: SQL beside its key."""
    meta, name = row._meta, connection.ops.quote_name
    known = {one: field for field in meta.concrete_fields for one in (field.name, field.attname)}
    fields = [known[each] for each in names]
    parts = ", ".join(f"{name(str(field.column))} = %s" for field in fields)
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
    sql = f"UPDATE {name(meta.db_table)} SET {parts} WHERE {_ID} = %s AND {where}"  # noqa: S608
    return Statement(sql, [*values, row.pk])


class KeysAhead:
    """Keys of a table taken before its rows are made, so that what refers to a row need not wait
    for it. Those never used are gaps, as a failed INSERT leaves them."""

    def __init__(self, kind: type[models.Model], *, ahead: int = 8) -> None:
        self._kind = kind
        self._ahead = ahead
        self._keys: deque[int] = deque()

    def fill(self) -> None:
        """Take as many as are kept. One query, or none."""
        missing = self._ahead - len(self._keys)
        if missing <= 0:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
                [self._kind._meta.db_table, _ID, missing],
            )
            self._keys.extend(key for (key,) in cursor.fetchall())

    def take(self) -> int:
        """One key that nobody else has. One query where none is left."""
        if not self._keys:
            self.fill()
        return self._keys.popleft()


@lru_cache
def _statement(
    kind: type[models.Model], keyed: bool
) -> tuple[str, str, Sequence["models.Field[Any, Any]"]]:
    """Its beginning, the place of one row, and the fields in order."""
    meta = kind._meta
    fields = [field for field in meta.concrete_fields if keyed or not field.primary_key]
    name = connection.ops.quote_name
    columns = ", ".join(name(str(field.column)) for field in fields)
    one = f"({', '.join(['%s'] * len(fields))})"
    return f"INSERT INTO {name(meta.db_table)} ({columns}) VALUES", one, fields

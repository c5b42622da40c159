"""Rows inserted by a statement that is compiled once: where somebody waits for them.

What the ORM spends on building an INSERT anew is five times what PostgreSQL spends on it. Fields
prepare their own values, so a row is the same as `save` would have made; signals are not sent.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from django.db import connection, models

_ID: Final = "id"


def rows_insert(*rows: models.Model) -> None:
    """Insert rows of one model in one statement and give them their keys; joins a transaction.

    Raises: IntegrityError, as saving does; what a field raises for a value.
    """
    kind = type(rows[0])
    head, one, fields = _statement(kind)
    values = [
        field.get_db_prep_save(field.pre_save(row, add=True), connection)
        for row in rows
        for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"{head} {', '.join([one] * len(rows))} RETURNING {_ID}", values)
        for row, (key,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = key
            row._state.adding, row._state.db = False, connection.alias


@lru_cache
def _statement(kind: type[models.Model]) -> tuple[str, str, Sequence["models.Field[Any, Any]"]]:
    """Its beginning, the place of one row, and the fields in order; the key is the database's."""
    meta = kind._meta
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    name = connection.ops.quote_name
    columns = ", ".join(name(str(field.column)) for field in fields)
    one = f"({', '.join(['%s'] * len(fields))})"
    return f"INSERT INTO {name(meta.db_table)} ({columns}) VALUES", one, fields

"""Rows written by statements that are compiled once: where somebody waits for them.

What the ORM spends on building an INSERT anew is five times what PostgreSQL spends on it. Fields
prepare their own values, so a row is the same as `save` would have made; signals are not sent.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from django.db import connection, models

_ID: Final = "id"


# Fields of which a value of that very type is prepared already, but for an integer's width.
_PLAIN: Final[Mapping[type, type]] = {
    models.AutoField: int,
    models.BigAutoField: int,
    models.BigIntegerField: int,
    models.BooleanField: bool,
    models.CharField: str,
    models.IntegerField: int,
    models.PositiveBigIntegerField: int,
    models.PositiveIntegerField: int,
    models.PositiveSmallIntegerField: int,
    models.TextField: str,
}


class _Column(NamedTuple):
    """Of one field: its attribute, and what of its values needs no more than to be ``made`` so."""

    name: str
    plain: type | None
    made: Callable[[Any], Any] | None
    field: "models.Field[Any, Any]"


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
    head, one, columns = _statement(type(rows[0]), rows[0].pk is not None)
    values: list[Any] = []
    for row in rows:
        for name, plain, made, field in columns:
            value = getattr(row, name)
            if type(value) is plain:
                value = made(value) if made else value
            elif value is not None or plain is None:
                value = field.get_db_prep_save(field.pre_save(row, add=True), connection)
            values.append(value)
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


def joined(statements: Sequence[Statement]) -> Statement:
    """Several as one, which costs its reader and its planner once; the last is told of by its rows.

    All of them see the rows as they were before the first. Their values are in order. psycopg
    keeps no translation of a statement with more than 50 values, and that costs more than is saved.
    """
    *before, last = statements
    if not before:
        return last
    parts = ", ".join(f"s{at} AS ({each.sql})" for at, each in enumerate(before))
    values = [value for each in statements for value in each.values]
    return Statement(f"WITH {parts} {last.sql}", values, touches=last.touches)


def literals(values: Iterable[str]) -> str:
    """Constants of ours as an SQL list: a plan that is made once for all parameters finds the
    partial index that holds them. Raises: ValueError for what is more than a word."""
    words = list(values)
    if not all(word.isidentifier() for word in words):
        raise ValueError("only words of our own stand in SQL as they are")
    return "('" + "', '".join(words) + "')"


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
def _statement(kind: type[models.Model], keyed: bool) -> tuple[str, str, Sequence[_Column]]:
    """Its beginning, the place of one row, and the columns in order."""
    meta = kind._meta
    fields = [field for field in meta.concrete_fields if keyed or not field.primary_key]
    name = connection.ops.quote_name
    columns = ", ".join(name(str(field.column)) for field in fields)
    one = f"({', '.join(['%s'] * len(fields))})"
    return (
        f"INSERT INTO {name(meta.db_table)} ({columns}) VALUES",
        one,
        [_column(each) for each in fields],
    )


def _column(field: "models.Field[Any, Any]") -> _Column:
    """A subclass of these may do anything to its values: only what is exactly one is known."""
    of = field.target_field if isinstance(field, models.ForeignKey) else field
    plain = _PLAIN.get(type(of))
    made = None
    if plain is int and not isinstance(of, models.AutoField | models.BigAutoField):
        made = partial(
            connection.ops.adapt_integerfield_value, internal_type=of.get_internal_type()
        )
    return _Column(field.attname, plain, made, field)

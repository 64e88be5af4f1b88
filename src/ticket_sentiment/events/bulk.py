"""Many rows into a table at once, at little more than the database's own price.

SQLAlchemy's `execute` works on each value of each row, which for the service's events cost more than SQLite
itself and the interpreter's lock with it. Here the statement is SQLAlchemy's, made once, and so is what the
types of its columns do with a value; the rows go to the driver as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa


class BulkInsert:
    """An INSERT for rows that are dictionaries of all its table's columns."""

    def __init__(self, insert: sa.Insert, dialect: sa.Dialect) -> None:
        """Compile it.

        Args:
            insert: into a table, without values.
            dialect: of the database.
        """
        columns = insert.table.columns
        compiled = insert.compile(dialect=dialect, column_keys=columns.keys())
        self._statement = str(compiled)
        self._names = compiled.positiontup  # type: ignore[attr-defined]  # None where the driver takes names
        processors = {
            column.key: column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns
        }
        self._processors = [(name, process) for name, process in processors.items() if process is not None]

    def execute(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Send the rows, all of them or, in the caller's transaction, none.

        Raises:
            KeyError, TypeError, ValueError: a row lacks a column or holds a value that its type refuses.
            sqlalchemy.exc.SQLAlchemyError: the database refuses one, or does not answer.
        """
        connection.exec_driver_sql(self._statement, [self._parameters(row) for row in rows])

    def _parameters(self, row: Mapping[str, Any]) -> Any:
        values = dict(row)
        for name, process in self._processors:
            values[name] = process(values[name])
        return values if self._names is None else tuple([values[name] for name in self._names])

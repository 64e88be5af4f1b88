"""Raw rows from wherever tickets come from, mapped to the fields of a ticket, with where each row was."""

from ticket_sentiment.tickets.sources.mapping import map_rows
from ticket_sentiment.tickets.sources.raw import RawTable, read_raw

__all__ = ["RawTable", "map_rows", "read_raw"]

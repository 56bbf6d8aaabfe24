"""Wire forms of the domain. Pure: no I/O, no database."""

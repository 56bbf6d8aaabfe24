"""Word documents of the format of 1997, as LibreOffice 7.4 writes them: a heading, notes of both kinds, a
link, a table of two rows, a box, a header and a comment. The one has letters of western Europe alone."""

from pathlib import Path

WESTERN = Path(__file__).with_name("western.doc").read_bytes()
UNICODE = Path(__file__).with_name("unicode.doc").read_bytes()

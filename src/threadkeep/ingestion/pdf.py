"""PDF, page by page."""

import logging
from collections.abc import Iterator
from typing import BinaryIO

from pypdf import PdfReader
from pypdf.errors import FileNotDecryptedError, PyPdfError

from threadkeep.ingestion.model import Failure

HEAD = 1024
"""Bytes, somewhere in which a PDF says that it is one."""
LOCKED = Failure("invalid_file", "The file is protected by a password.")


class PDF:
    """The text of a PDF; `skipped` pages could not be read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.skipped = 0

    def texts(self) -> Iterator[str]:
        """The text of each page. Raises `Failure`, also where all of them are pictures."""
        reader, pages = opened(self._file)
        said = False
        for number in range(pages):
            text = self._page(reader, number)
            said = said or bool(text.strip())
            yield text + "\n\n"
        if not said and self.skipped:
            raise Failure("invalid_file", "The file is damaged: none of its pages can be read.")
        if not said:
            raise Failure(
                "invalid_file",
                "The file has no text. Its pages may be scanned pictures, which are not turned into text.",
            )

    def _page(self, reader: PdfReader, number: int) -> str:
        try:
            return reader.pages[number].extract_text()
        except FileNotDecryptedError:
            raise LOCKED from None
        except (MemoryError, Failure):
            raise
        except Exception:  # of many kinds, where a page is damaged; the others are still worth having
            self.skipped += 1
            return ""


def opened(file: BinaryIO) -> tuple[PdfReader, int]:
    """The reader, and how many pages there are. Raises `Failure`."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    file.seek(0)
    if b"%PDF-" not in file.read(HEAD):
        raise Failure("invalid_file", "The file is not a PDF, though its name says so.")
    try:
        reader = PdfReader(file)
        if reader.is_encrypted and not reader.decrypt(""):
            raise LOCKED
        return reader, len(reader.pages)
    except FileNotDecryptedError:
        raise LOCKED from None
    except (MemoryError, Failure):
        raise
    except PyPdfError as problem:
        raise Failure("invalid_file", f"The file is damaged: {str(problem).rstrip('.')}.") from problem
    except Exception as problem:  # of many kinds, where it is damaged
        raise Failure("invalid_file", "The file is damaged: its pages cannot be found.") from problem

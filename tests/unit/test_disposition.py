"""The name of a download, read back as a browser reads it."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.files.endpoints import disposition
from threadkeep.http.multipart import clean_filename

NAMES = st.text(st.characters(codec="utf-8"), max_size=40).map(clean_filename)


HEADER = re.compile(r"attachment; filename=\"([ !#-\[\]-~]*)\"(?:; filename\*=UTF-8''([A-Za-z0-9%._~-]+))?")


def read_back(header: bytes) -> str:
    """The name in a header: the extended one where there is one (RFC 6266, section 4.3)."""
    found = HEADER.fullmatch(header.decode("ascii"))
    assert found, header
    return unquote(found[2], errors="strict") if found[2] else found[1]


@given(NAMES)
def test_every_name_is_read_back_as_it_is(name):
    assert read_back(disposition(name)) == name


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b.txt", b'attachment; filename="a b.txt"'),
        ('"a\\b"', b"attachment; filename=\"_a_b_\"; filename*=UTF-8''%22a%5Cb%22"),
        ("naïve.txt", b"attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
    ],
)
def test_ascii_stands_as_it_is_and_the_rest_beside_it(name, header):
    assert disposition(name) == header


@pytest.mark.parametrize(("name", "clean"), [("", "upload"), ("\r\n", "upload"), ("a\r\nb\x00\x7f", "ab")])
def test_no_name_breaks_a_header(name, clean):
    assert clean_filename(name) == clean

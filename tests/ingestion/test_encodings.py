"""Which older encoding a text is in, and that all of it is read, however long it is."""

import io
import math
import struct

import pytest

from tests.ingestion import languages
from threadkeep.ingestion.extract import text_of
from threadkeep.ingestion.model import Failure
from threadkeep.ingestion.plain import BLOCK, is_damaged_utf_8

pytestmark = pytest.mark.promise("ingestion.encodings")


def read(filename: str, content: bytes) -> str:
    return "".join(text_of(io.BytesIO(content), filename).parts)


WRITTEN = [
    (language, encoding)
    for names, encodings in {
        "FRENCH SPANISH PORTUGUESE GERMAN SWEDISH": "latin-1 cp1252 iso8859_15 cp850",
        "ITALIAN": "latin-1 cp1252 iso8859_15",
        "POLISH CZECH HUNGARIAN": "cp1250 iso8859_2 cp852",
        "TURKISH": "cp1254 iso8859_9",
        "RUSSIAN": "cp1251 koi8_r iso8859_5 cp866",
        "UKRAINIAN": "cp1251 koi8_u",
        "GREEK": "cp1253 iso8859_7",
        "HEBREW": "cp1255 iso8859_8",
        "ARABIC": "cp1256",
        "JAPANESE": "shift_jis euc_jp",
        "CHINESE": "gb2312 gb18030",
        "TRADITIONAL": "big5 gb18030",
        "KOREAN": "euc_kr",
    }.items()
    for language in names.split()
    for encoding in encodings.split()
]


@pytest.mark.parametrize("length", [150, 400, 1500])
@pytest.mark.parametrize(("language", "encoding"), WRITTEN)
def test_a_text_is_read_in_the_encodings_of_its_language(language, encoding, length):
    text = (getattr(languages, language) * 5)[:length]
    assert read("a.txt", text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("un crème à la façon", "latin-1"), ("Señor Núñez", "cp1252"), ("São Paulo", "latin-1"),
        ("Äpfel", "cp1252"),
        ("It’s “quoted” – isn’t it…", "cp1252"), ("Łódź", "cp1250"), ("Привет, мир", "cp1251"),
        ("Français, Deutsch (Österreich), Español, Português, Svenska (Malmö), Íslenska", "cp1252"),
        ("ㅋㅋㅋ 진짜? 나도 갈래 ㅠㅠ ㅎㅎ 오늘 저녁에 만나자", "euc_kr"), ("日本語", "shift_jis"),
        ("中文", "gb18030"),
    ],
)  # fmt: skip
def test_a_few_words_of_another_language_are_read(text, encoding):
    english = "The quick brown fox jumps over the lazy dog, and nobody minds.\n" * 200
    assert (
        read("a.txt", (english + text + "\n" + english).encode(encoding)) == english + text + "\n" + english
    )
    assert read("a.txt", text.encode(encoding)) == text


EAST_ASIAN = [
    ("CHINESE", "gb18030"), ("JAPANESE", "shift_jis"), ("JAPANESE", "euc_jp"), ("KOREAN", "euc_kr"),
    ("TRADITIONAL", "big5"),
]  # fmt: skip


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize(("language", "encoding"), EAST_ASIAN)
def test_a_character_may_lie_across_the_end_of_a_block(language, encoding, lines, before):
    text = getattr(languages, language)
    text = text if lines else "".join(c for c in text if c > "\x7f")
    text = "a" * before + text * (2 * BLOCK // len(text.encode(encoding)) + 1)
    assert len(text.encode(encoding)) > 2 * BLOCK
    assert read("a.txt", text.encode(encoding)) == text


def test_characters_of_four_bytes_may_lie_across_the_end_of_a_block():
    text = languages.CHINESE + "𠀀㐀" + languages.CHINESE
    for before in range(4):
        whole = "a" * before + text * (BLOCK // len(text.encode("gb18030")) + 2)
        assert read("a.txt", whole.encode("gb18030")) == whole


@pytest.mark.parametrize(("language", "encoding"), EAST_ASIAN)
def test_a_text_that_ends_within_a_character_is_read(language, encoding):
    text = getattr(languages, language).rstrip("\n") + "人"
    assert read("a.txt", text.encode(encoding)[:-1]) == text[:-1] + "\ufffd"


@pytest.mark.parametrize(("language", "encoding"), EAST_ASIAN)
def test_a_damaged_byte_does_not_hide_the_encoding(language, encoding):
    text = getattr(languages, language) * 3
    damaged = "人".encode(encoding)[:1]
    content = text.encode(encoding) + damaged + b"\n" + text.encode(encoding)
    assert read("a.txt", content) == f"{text}\ufffd\n{text}"


@pytest.mark.parametrize("place", [BLOCK - 2, BLOCK, 2 * BLOCK + 7])
@pytest.mark.parametrize(
    ("language", "encoding"),
    [("FRENCH", "latin-1"), ("RUSSIAN", "koi8_r"), ("POLISH", "cp1250"), *EAST_ASIAN],
)
def test_letters_beyond_ascii_may_come_late(language, encoding, place):
    english = ("The quick brown fox jumps over the lazy dog.\n" * (place // 40))[: place - 1] + "\n"
    text = english + getattr(languages, language)
    assert read("a.txt", text.encode(encoding)) == text


def test_the_last_letter_may_be_the_only_one_beyond_ascii():
    text = "An invitation to the café"
    assert read("a.txt", text.encode("latin-1")) == text


def test_characters_that_windows_adds_may_come_late():
    text = languages.JAPANESE * (2 * BLOCK // len(languages.JAPANESE)) + "①髙島屋㈱\n"
    assert "〜" in languages.JAPANESE  # which Windows takes for another sign
    assert read("a.txt", text.encode("cp932", "replace").replace(b"?", b"")).endswith("①髙島屋㈱\n")


# ---------------------------------------------------------------- Unicode that is damaged or unmarked

LANGUAGES = [name for name in vars(languages) if name.isupper()]


@pytest.mark.parametrize("length", [150, 1500])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bad_byte_does_not_make_utf_8_an_older_encoding(language, length):
    text = (getattr(languages, language) * 5)[:length]
    words = getattr(languages, language).splitlines(keepends=True)
    for line in (text, *words[:2]):
        if len(line.encode()) >= len(line) + 2:
            assert read("a.txt", line.encode() + b"\xff") == line + "\ufffd"
            assert read("a.txt", b"\xff" + line.encode()) == "\ufffd" + line


@pytest.mark.parametrize("language", LANGUAGES)
def test_utf_8_may_be_cut_within_any_character(language):
    text = getattr(languages, language)
    places = [place for place, c in enumerate(text) if c > "\x7f"][1:]
    for place in places[:20]:
        cut = text[: place + 1].encode()[:-1]
        assert read("a.txt", cut) == text[:place] + "\ufffd"
    begun = text[places[0] :].encode()[1:]  # as a log begins whose older part was thrown away
    assert read("a.txt", begun).lstrip("\ufffd") == text[places[0] + 1 :]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"It\xe2\x80\x99s the caf\xc3\xa9.\n\xff\n", "It’s the café.\n\ufffd\n"),
        (
            b"done \xe2\x9c\x85, failed \xe2\x9d\x8c, cut \xf0\x9f\x9a\nnext",
            "done ✅, failed ❌, cut \ufffd\nnext",
        ),
        (b"the caf\xc3\xa9\n" * 9 + b"the caf\xe9\n", "the café\n" * 9 + "the caf\ufffd\n"),
        (b"Oh \xed\xa0\xbd\xed\xb8\x80, na\xc3\xafve", "Oh " + 6 * "\ufffd" + ", naïve"),
        (
            b"lost \xef\xbf\xbd " * 9 + b"caf\xc3\xa9 na\xc3\xafve \xff",
            "lost \ufffd " * 9 + "café naïve \ufffd",
        ),
    ],
    ids=["signs", "emoji", "two-files", "surrogates", "damaged-before"],
)
def test_what_is_bad_in_utf_8_is_replaced(content, text):
    assert read("a.txt", content) == text


def test_a_bad_byte_may_stand_far_from_the_letters_that_tell_utf_8():
    english = "The quick brown fox jumps over the lazy dog.\n" * (BLOCK // 20)
    text = english + languages.RUSSIAN + english
    assert read("a.txt", b"\xff" + text.encode()) == "\ufffd" + text
    assert read("a.txt", text.encode() + b"\xff") == text + "\ufffd"


@pytest.mark.parametrize(("language", "encoding"), [*WRITTEN, ("RUSSIAN", "mac_cyrillic")])
def test_a_text_in_an_older_encoding_is_not_taken_for_damaged_utf_8(language, encoding):
    text = getattr(languages, language)
    for whole in (text, text.upper(), text * 20):
        assert not is_damaged_utf_8(io.BytesIO(whole.encode(encoding, "ignore")))
    for line in text.splitlines():
        assert not is_damaged_utf_8(io.BytesIO(line.encode(encoding)))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_utf_16_and_utf_32_need_no_mark(language, encoding):
    text = getattr(languages, language)
    line = text.splitlines()[-1] + "\n"
    for part in (text, line, text * (BLOCK // len(text)), text.replace("\n", "\r\n")):
        assert read("a.txt", part.encode(encoding)) == part
    assert read("a.txt", text.encode(encoding)[:-1]) == text[:-1] + "\ufffd"


@pytest.mark.parametrize(
    "text", ["a", "Hi!", "{}", "да, я тут\n", "一、二\n", "가나다 라마\n", "a,b\r\n1,2\r\n"]
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_an_unmarked_text_may_be_short(text, encoding):
    assert read("a.txt", text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_zeros_in_a_text_are_left_out(encoding):
    text = "a line of a log, übrigens\n" * 50
    content = text.encode(encoding)
    for place in (0, 700, 701, len(content)):
        assert read("a.txt", content[:place] + b"\0\0" + content[place:]) == text
    assert read("a.txt", content + b"\0" + content * (BLOCK // len(content)) + b"\0").count(text) > 100
    if encoding == "utf-8":
        assert read("a.txt", content + b"\0\xff") == text + "\ufffd"


@pytest.mark.parametrize(
    "content",
    [
        bytes(9000),
        b"".join(b"./a/file%d.txt\0" % number**2 for number in range(500)),
        b"".join(struct.pack("<h", round(9000 * math.sin(number / 9))) for number in range(5000)),
        b"\x7fELF\2\1\1\0" + b"".join(struct.pack("<IQ", number * 7919, number) for number in range(900)),
    ],
    ids=["zeros", "names", "sound", "numbers"],
)
def test_what_has_many_zeros_and_is_no_unicode_is_refused(content):
    with pytest.raises(Failure, match="The file is not text, though its name says so"):
        read("a.txt", content)


# ---------------------------------------------------------------- what a page says of itself


def test_a_page_in_damaged_utf_8_is_read_whatever_it_says():
    page = f'<head><meta charset="windows-1251"></head><p>{languages.FRENCH}'.encode()
    assert read("a.html", page + b"\xff").split() == [*languages.FRENCH.split(), "\ufffd"]


@pytest.mark.parametrize(
    "charset",
    ["hex", "rot13", "zlib", "base64", "undefined", "idna", "punycode", "unicode_escape", "utf-7", "cp037",
     "utf-16", "UTF-16LE", "utf-16be", "utf-32", "utf-32le", "no-such-thing", "...", "x" * 500],
)  # fmt: skip
def test_a_page_that_cannot_be_what_it_says_is_guessed(charset):
    page = f'<head><meta charset="{charset}"></head><p>{languages.FRENCH}'
    words = languages.FRENCH.split()
    assert read("a.html", page.encode("latin-1")).split() == words
    assert read("a.html", page.encode()).split() == words

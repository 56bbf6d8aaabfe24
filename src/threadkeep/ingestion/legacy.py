"""Which older encoding a text is in: a guess, by what its characters would be."""

import codecs
import re
from collections import Counter
from collections.abc import Container
from functools import cache

SAMPLE = 32 * 1024
"""Bytes."""

Table = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
"""Encodings, and the letters beyond ASCII of each language that is written in them. Where a short text could
be of several, it is of the first."""
WESTERN = (
    "àâæçéèêëîïôœùûüÿ",  # French
    "áéíñóúü¿¡ªº",  # Spanish
    "àèéìíîòóùúªº",  # Italian
    "äöüß",  # German
    "åäöéæøèêôóüšž",  # Danish, Finnish, Norwegian, Swedish
    "áäçèéêëíïóöúü",  # Dutch
    "àçèéíïòóúü",  # Catalan
    "äöüõšž",  # Estonian
)
PORTUGUESE = ("àáâãçéêíóôõúüªº",)
ICELANDIC = ("áæéíðóöþúý",)
HUNGARIAN = ("áéíóöőúüű",)
CENTRAL = (
    "ąćęłńóśźż",  # Polish
    "áčďéěíňóřšťúůýž",  # Czech
    "áäčďéíĺľňóôŕšťúýž",  # Slovak
    "ăâîşţ",  # Romanian
    "čćđšž",  # Bosnian, Croatian, Slovene
)
TURKISH = ("âçğıİîöşûü",)
BALTIC = (
    "ąčęėįšųūž",  # Lithuanian
    "āčēģīķļņšūž",  # Latvian
)
VIETNAMESE = ("àáâèéêìíòóôùúýăđơư\u0300\u0301\u0303\u0309\u0323",)
LATIN: Table = (
    (("cp1252", "iso8859_15"), WESTERN),
    (("cp1254",), TURKISH),
    (("cp1250", "iso8859_2"), HUNGARIAN),
    (("cp1252", "iso8859_15"), PORTUGUESE),
    (("cp1250", "iso8859_2"), CENTRAL),
    (("cp1257",), BALTIC),
    (("cp1252",), ICELANDIC),
    (("cp1258",), VIETNAMESE),
)
DOS_OR_MAC: Table = (
    (("cp852", "mac_latin2"), HUNGARIAN),
    (("cp850", "mac_roman"), WESTERN + PORTUGUESE),
    (("cp852", "mac_latin2"), CENTRAL),
)
SIGNS = "\u00a0\u00ad«»‘’‚“”„‹›–—…•·°§©®™€£²µ"
BESIDE_WORDS = frozenset("«»‘‚“”„‹›…•°©®")
"""Signs that do not stand within words."""
NEARLY_ALL = 0.9
"""Of the characters beyond ASCII, those that are of one language if the text is."""

MOST = 0.8
"""The same of Chinese, Japanese and Korean, of which only the common characters are known."""
CLEARLY = 0.1
"""By how much more of it one of them has to be likelier than another that stands before it."""
NARROW_SIGNS = "｡｢｣､･"
WORSE = 10
"""As how many characters one counts that cannot be read."""
NARROWER = {"cp932": "shift_jis", "cp950": "big5", "euc_jis_2004": "euc_jp"}
"""Encodings with more characters than a standard, which have a few others in place of its own."""

MIXED = ["cp1252", "cp1250", "cp1254", "cp1257", "cp1258"]
OTHERS = [
    "cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5", "cp1253", "iso8859_7", "cp1255", "cp1256",
    "iso8859_6", "cp874",
]  # fmt: skip
NO_LETTER = re.compile(rb"[^A-Za-z]+")
CLOSE = 0.05
"""Of `chaos`, which is what charset-normalizer counts."""
TWINS = {"cp1253": "iso8859_7", "koi8_r": "koi8_u"}
"""Encodings that differ in few letters, too few for `chaos`."""


def older_encodings_of(part: bytes) -> tuple[str, ...]:
    """What a text may be in, by a part of it that is not ASCII alone. Of several, it is in the one in which
    most of it can be read, or else the first. None where it is no text."""
    controls = sum(part.count(byte) for byte in (*range(1, 7), *range(14, 27), *range(28, 32)))
    if controls > len(part) / 100:
        return ()
    words = b" ".join(word for word in part.split() if not word.isascii())[:SAMPLE]
    encoding = (
        latin_encoding_of(LATIN, words)
        or east_asian_encoding_of(words)
        or latin_encoding_of(DOS_OR_MAC, words)
        or other_encoding_of(words)
    )
    return tuple(name for name in (NARROWER.get(encoding or ""), encoding) if name)


def latin_encoding_of(table: Table, words: bytes) -> str | None:
    """That in which nearly all characters beyond ASCII are of one language."""
    best, found = NEARLY_ALL, None
    for encodings, alphabets in table:
        for encoding in encodings:
            characters = beyond_ascii(words.decode(encoding, "replace"))
            part = max(part_in({*alphabet, *alphabet.upper(), *SIGNS}, characters) for alphabet in alphabets)
            if part > best:
                best, found = part, encoding
    return found


def beyond_ascii(text: str) -> Counter[str]:
    """How often each such character is in the text. Those that cannot stand where they do count as U+FFFD."""
    return Counter(
        "\ufffd" if before.isalpha() and is_misplaced(before, c, after) else c
        for before, c, after in zip(" " + text, text, text[1:] + " ", strict=False)
        if c > "\x7f"
    )


def is_misplaced(before: str, c: str, after: str) -> bool:
    """Whether it cannot stand after that letter."""
    if c.isupper():
        return before.islower() or after.islower()
    return c in BESIDE_WORDS and after.isalpha()


def is_letter(c: str) -> bool:
    return c.isalpha() and c.isascii()


def part_in(known: Container[str], characters: Counter[str]) -> float:
    return sum(count for c, count in characters.items() if c in known) / (characters.total() or 1)


def east_asian_encoding_of(words: bytes) -> str | None:
    """That in which most letters are common ones of its language, the first of several that come close."""
    best, found = MOST, None
    for encoding, common in common_characters():
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        text = decoder.decode(words)  # without the last character, if that is cut
        characters = Counter(
            "\ufffd" if is_letter(before) and is_letter(after) else c
            for before, c, after in zip(" " + text, text, text[1:] + " ", strict=False)
            if c > "\x7f" and (c.isalpha() or c in NARROW_SIGNS or c == "\ufffd")
        )
        characters["\ufffd"] *= WORSE
        part = part_in(common, characters)
        if part > best:
            best, found = part + CLEARLY, encoding
    return found


@cache
def common_characters() -> tuple[tuple[str, frozenset[str]], ...]:
    """By encoding. What is Korean could be Japanese or Chinese by this, but not the other way round."""
    wide = {chr(code) for code in range(0xFF21, 0xFF5B)}  # Latin letters
    kana = {chr(code) for code in range(0x3041, 0x3100)}
    korean = wide | set("ㄱㄴㄷㅅㅇㅋㅎㅏㅗㅜㅠㅡ") | rows("euc_kr", 0xB0, 0xC8)
    japanese = wide | kana | rows("euc_jp", 0xB0, 0xCF)
    chinese = wide | rows("gb2312", 0xB0, 0xD7) | rows("big5", 0xA4, 0xC6)
    return tuple(
        (encoding, frozenset(common))
        for encodings, common in (
            (("cp949",), korean),
            (("euc_jis_2004", "cp932"), japanese),
            (("gb18030", "cp950", "big5hkscs"), chinese),
        )
        for encoding in encodings
    )


def rows(encoding: str, first: int, last: int) -> set[str]:
    """The characters that begin with one of these bytes: standards have the common ones together."""
    trails = range(0x40 if encoding == "big5" else 0xA1, 0xFF)
    pairs = (bytes((lead, trail)) for lead in range(first, last + 1) for trail in trails)
    return set("".join(pair.decode(encoding, "ignore") for pair in pairs))


def other_encoding_of(words: bytes) -> str | None:
    """Where the text is a mixture of languages, or in another script."""
    from charset_normalizer import from_bytes  # 50 ms, for files that are rare

    is_latin = 4 * len(NO_LETTER.sub(b"", words)) > len(words)
    matches = from_bytes(words, threshold=0.5, cp_isolation=MIXED if is_latin else OTHERS)
    best = matches.best()
    if best is None:
        return None
    if is_latin:
        close = (match for match in matches if match.chaos <= best.chaos + CLOSE)
        return "cp1252" if any("cp1252" in match.could_be_from_charset for match in close) else best.encoding
    twins = [best.encoding, *(twin for pair in TWINS.items() if best.encoding in pair for twin in pair)]
    return max(twins, key=lambda encoding: letters_in(words.decode(encoding, "replace")))


def letters_in(text: str) -> int:
    characters = beyond_ascii(text)
    return sum(count for c, count in characters.items() if c.isalpha()) - characters["\ufffd"]

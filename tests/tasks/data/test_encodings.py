"""Encodings that bytes tell: Windows-1252 of its own languages, and nothing of any other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks.data.encodings import check_encoding, example, is_windows_1252, wide_by_zeros

# Texts of languages that it is made for, with the warts that they are written with.
OWN = {
    "French": "Le café «\u00a0était\u00a0» fermé, n\u2019est-ce pas… créée, naïve œuvre, déjà où, Noël À bientôt",
    "German": "„Größe“ der Straße \u2013 Äpfel, übel, \u201eGruß\u201c Köln, ÄÄÄÄh, 5 €, 3 m²",
    "Spanish": "¿Qué pasó? ¡Añade el niño! ÑANDÚ, 25°",
    "Portuguese": "não são ações à lição, pinguim, 1ª vez",
    "Italian": "perché è così, città, più",
    "Swedish": "räksmörgås på Ålesund, ö och å",
    "Danish": "blåbærgrød og rødgrød",
    "Finnish": "hyvää yötä, pääöljy",
    "Estonian": "jäääär, õueõun, öö",
    "Icelandic": "þetta er Ísland, það er ýmislegt",
    "Catalan": "col·lega, això, més",
    "several": "café, Köln, niño, naïve \u201cquoted\u201d",
}
OTHERS = [
    ("cp1250", "Příliš žluťoučký kůň, dobrý den"),
    ("cp1250", "řeka, zítra přijdu, děkuji, dobrý"),
    ("cp1250", "już češće, života, đak, več"),
    ("cp1250", "zażółć gęślą jaźń, ładny, proszę"),
    ("cp1250", "őszi hűvös öreg áldás"),
    ("iso8859-16", "țară și mâine, câte"),
    ("cp1251", "Привет, мир"),
    ("cp1251", "да"),
    ("koi8-r", "Привет, мир"),
    ("cp866", "привет"),
    ("cp1253", "Καλημέρα κόσμε"),
    ("cp1254", "güneş doğdu, çok iyi"),
    ("cp1255", "שלום"),
    ("cp1256", "مرحبا"),
    ("cp1257", "ąžuolas, šviesa, ėjo"),
    ("gb18030", "你好世界"),
    ("big5", "中文文本"),
    ("shift_jis", "こんにちは"),
    ("euc_jp", "日本語のテキスト"),
    ("euc_kr", "안녕하세요"),
    ("mac_roman", "café, Müller, schön"),
    ("cp850", "déjà vu, schön, über"),
    ("cp437", "Müller sagen für"),
    ("utf-8", "café, schön, \u201cquoted\u201d"),
    ("utf-8", "Привет, мир"),
    ("utf-8", "so 😀"),
]


@pytest.mark.parametrize("language", OWN)
def test_texts_of_its_languages_are_taken_for_it(language: str) -> None:
    assert is_windows_1252([b"plain\n", OWN[language].encode("cp1252")])


@pytest.mark.parametrize(("encoding", "text"), OTHERS)
def test_texts_of_other_encodings_are_not(encoding: str, text: str) -> None:
    assert not is_windows_1252([b"plain\n", text.encode(encoding)])


@settings(max_examples=60, deadline=None, database=None)
@given(st.text(alphabet=st.characters(min_codepoint=0x400, max_codepoint=0x44F), min_size=4, max_size=12))
def test_no_word_of_cyrillic_letters_is(word: str) -> None:
    letters = "".join(letter for letter in word if len(set(word)) > 3 and letter.encode("cp1251", "ignore"))
    if len(set(letters)) > 3:
        assert not is_windows_1252([letters.encode("cp1251")])


def test_what_is_shown_of_a_line() -> None:
    assert example("ticket;we met in the Café d\u2019Or, twice") == "Café"
    assert example("5 €") == "5 €"


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["text\tlabel\n好\t1\n", "text,label\r\ngood,1\r\n", "a\n"])
def test_utf_16_without_a_mark(order: str, text: str) -> None:
    assert wide_by_zeros(text.encode(order)) == order
    assert wide_by_zeros(text.encode()) is None


@pytest.mark.parametrize("start", [b"", b"\0", b"\0\0\0\0", b"te\0xt,label\n", "好好好\n".encode("utf-16-le")])
def test_zeros_of_what_is_not(start: bytes) -> None:
    assert wide_by_zeros(start) is None


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "cp1252", "latin-1", "shift_jis", "gb18030", "utf-16", "cp037"])
def test_encodings_of_files(name: str) -> None:
    assert check_encoding(name) == name


@pytest.mark.parametrize(
    "name", ["", "nonsense", "rot13", "base64", "hex", "zlib", "idna", "unicode_escape", "a b", "\0"]
)
def test_what_is_no_encoding_of_files(name: str) -> None:
    with pytest.raises(SoftPromptError, match="is no encoding of text that Python knows: give one as") as error:
        check_encoding(name)
    assert "\n" not in str(error.value)

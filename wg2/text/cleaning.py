"""Written text to plain typography: one kind of quote and dash, no brackets, no markup. Nothing is spelled out here."""

# ruff: noqa: RUF001, RUF003 (look-alike characters are the subject here)
import html
import re
import unicodedata

_QUOTES = str.maketrans(
    {"’": "'", "‘": "'", "‛": "'", "ʼ": "'", "`": "'", "´": "'", "′": "'", "“": '"', "”": '"', "„": '"', "«": '"',
     "»": '"', "″": '"', "º": "°", "⁄": "/", "−": "-", "‐": "-", "‑": "-", "―": "—", "‒": "–", "\u00ad": None,
     "\u200b": None, "\u200c": None, "\u200d": None, "\ufeff": None}
)  # fmt: skip
_VULGAR_FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")

_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[\x00-\x08\x0b-\x1f\x7f]", " "),
        (r"_+|[~|\\<>^†‡¶•·]|\*+(?=[^\W\d])|(?<=[^\W\d])\*+|(?<=[.,!?])\*+", " "),  # markup
        (r"(?<=\w)\((\w{1,3})\)", r"\1"),  # passenger(s)
        (r"\s*[(\[{]\s*", ", "),
        (r"\s*[)\]}](?=\s*[\w\"'$£€])", ", "),
        (r"[)\]}]", ""),
        (r"(?<=\d)[–—](?=\d)", "-"),  # 1845–1850
        (r"(?<=\w)–(?=\w)", "-"),
        (r"\s*(?:-{2,}|—|–)\s*|\s+-\s+", " — "),
        (r"\.(?:\s?\.)+(?=\s*[a-z])", ","),  # a pause ... in a sentence
        (r"\.(?:\s?\.)+", "."),
        (r"(?<=[^\W\d])/(?=[^\W\d])", " "),  # and/or
        (r"§+", " section "),
        (r"&", " and "),
        (r"#(?=\d)", " number "),
        (r"(?<=\d)¢", " cents"),
        (r"(?<=\d)(st|nd|rd|th)-(?=[^\W\d])", r"\1 "),  # 5th-century
        (r"(?<=\d0)'s\b", "s"),  # the 1990's
        (r"\s+(?=[,.;:!?](?:\s|$))", ""),
        (r"([,;:—])(?:\s*,)+", r"\1"),
        (r",\s*(?=[.;:!?])", ""),
        (r",\s*—", " —"),
        (r"\s+", " "),
        (r"^[\s,;:.—]+(?=[\w\s\"'$£€])|\s+$", ""),
    )
)


_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")


def unescape(text: str) -> str:
    """The characters that HTML entities stand for, also where they were escaped twice: '&amp;quot;'."""
    while "&" in text and _ENTITY.search(text):
        plain = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
        if plain == text:  # an entity that nobody knows
            break
        text = plain
    return text


def clean(text: str) -> str:
    """Unify quotes, dashes, spaces, ellipses; brackets become commas; a text all in capitals is lowered."""
    text = unescape(text)
    text = _VULGAR_FRACTION.sub(" ", text).translate(_QUOTES)
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.capitalize() if _shouts(text) else text


def _shouts(text: str) -> bool:
    """Whether this is a heading in capitals, and not an acronym alone."""
    return text.isupper() and " " in text and any(len(word.strip("\"',.;:!?")) > 4 for word in text.split())

"""Abbreviations to words: titles, streets, Latin, months, initialisms, Roman numerals. Digits stay for the grammar."""

import re
from collections.abc import Callable

_TITLES = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Messrs": "Messieurs", "Mme": "Madame", "Prof": "Professor",
    "Capt": "Captain", "Col": "Colonel", "Gen": "General", "Lt": "Lieutenant", "Sgt": "Sergeant", "Maj": "Major",
    "Cmdr": "Commander", "Adm": "Admiral", "Rev": "Reverend", "Hon": "Honorable", "Gov": "Governor",
    "Sen": "Senator", "Rep": "Representative", "Supt": "Superintendent", "Mt": "Mount", "Drs": "Doctors",
}  # fmt: skip
_AFTER_NAMES = {
    "Jr": "Junior", "Sr": "Senior", "Esq": "Esquire", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road",
    "Hwy": "Highway", "Co": "Company", "Corp": "Corporation", "Inc": "Incorporated", "Ltd": "Limited",
    "Bros": "Brothers", "Dept": "Department", "Assn": "Association", "Univ": "University",
}  # fmt: skip
_LATIN = {
    "etc": "et cetera", "vs": "versus", "viz": "namely", "approx": "approximately", "e.g": "for example",
    "i.e": "that is", "cf": "compare",
}  # fmt: skip
_BEFORE_DIGIT = {
    "no": "number", "nos": "numbers", "vol": "volume", "p": "page", "pp": "pages", "ch": "chapter", "chap": "chapter",
    "fig": "figure", "figs": "figures", "sec": "section", "art": "article",
}  # fmt: skip
_MONTHS = {
    "jan": "January", "feb": "February", "mar": "March", "apr": "April", "jun": "June", "jul": "July", "aug": "August",
    "sep": "September", "sept": "September", "oct": "October", "nov": "November", "dec": "December",
}  # fmt: skip
_NOT_A_STREET = {
    "in", "at", "on", "of", "to", "from", "the", "and", "by", "for", "near", "with", "mister", "missus", "miz", "when",
    "professor", "captain", "reverend", "major", "then", "but", "as", "old", "saw", "is", "was", "that", "this",
}  # fmt: skip
_KINGS = (
    "Henry|George|Edward|Charles|James|William|Richard|Francis|Elizabeth|Mary|Nicholas|Alexander|Napoleon|Frederick"
)
NEVER_LAST = frozenset({*_TITLES, "Dr", "St"})
"""Abbreviations whose dot ends no sentence: a name follows."""
_UNITS = "ft|in|lb|lbs|oz|yd|yds|mi|hr|hrs|min|sec|kg|km|cm|mm"
_ROMAN = r"(?=[IVXL]{2})(?:XL|L|X{0,3})(?:IX|IV|V?I{0,3})(?<=[IVXL])"  # the last part: never an empty numeral
_NUMBERED = (
    "Chapter|Book|Volume|Part|Act|Scene|Section|Article|Canto|Plate|Figure|Stave|Appendix|War|Type|Number|Phase|Class|"
    "Level|Stage|Title|Grade|Mark|Unit|Bowl|Page|Table|Schedule|Exhibit|Letter|Lecture|Lesson|Apollo|Sonnet|Psalm"
)


def expand(text: str) -> str:
    """Spell out the abbreviations of cleaned text; a dot that also ends the sentence stays as a full stop."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _any_of(table: dict[str, str]) -> str:
    return "|".join(re.escape(key) for key in sorted(table, key=len, reverse=True))


def _rest(match: re.Match[str]) -> str:
    return match.string[match.end() :]


def _stop(match: re.Match[str]) -> str:
    """The full stop that the abbreviation's dot is as well, where the text ends."""
    return "." if re.match(r"[\"']*$", _rest(match)) else ""


def _after_name(match: re.Match[str]) -> str:
    return _AFTER_NAMES[match[1]] + _stop(match)


def _latin(match: re.Match[str]) -> str:
    key = match[1].lower()
    ends = key == "etc" and re.match(r"[\"']*\s+[\"']*[A-Z]", _rest(match))
    return _LATIN[key] + ("." if ends else _stop(match))


def _place(match: re.Match[str]) -> str:
    """'St. Paul' and '21st St.'; 'Dr. Green' and 'Hill Dr.': a name or an ordinal in front makes it a road."""
    front, written, dot = match[1] or "", match[2], match[3]
    title, road = ("Doctor", "Drive") if written == "Dr" else ("Saint", "Street")
    named = front.strip().lower() not in _NOT_A_STREET and re.match(r"[A-Z]|\d+(?:st|nd|rd|th)\s", front)
    followed = re.match(r"\s+[\"']?[A-Z]", _rest(match))
    if not named and followed:
        return front + title
    if not named or not dot:
        return match[0]
    return front + road + ("." if followed and not front[0].isdigit() else _stop(match))


def _half_day(match: re.Match[str]) -> str:
    starts = re.match(r"\s+(?:The|He|She|It|They|We|I|But|And|Then|In|On|At)\b", _rest(match))
    ends = match[0].endswith(".") and (starts or _stop(match))
    return match[1].upper() + ("M." if ends else "M")


def _initials(match: re.Match[str]) -> str:
    return match[0].replace(".", "").upper() + _stop(match)


def _initial(match: re.Match[str]) -> str:
    """'J. Smith', 'John J. Smith', but not 'plan B. Then'."""
    in_name = re.search(r"(?:^|[\"'—,;:]\s*|\b[A-Z]\w*\.?\s)$", match.string[: match.start()])
    return match[1] if in_name else match[0]


def _roman_value(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50}[letter] for letter in numeral.upper()]
    following = [*values[1:], 0]
    return sum(-value if value < after else value for value, after in zip(values, following, strict=True))


def _numbered(match: re.Match[str]) -> str:
    return f"{match[1]} {_roman_value(match[2])}"


def _regnal(match: re.Match[str]) -> str:
    """'Henry VIII' is the eighth; what is counted rather than named was read by `_numbered` before."""
    value = _roman_value(match[2])
    suffix = "th" if value in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{match[1]} the {value}{suffix}" + (_stop(match) if match[0].endswith(".") else "")


def _range(match: re.Match[str]) -> str:
    """'pages 12-15', but not a score, a telephone number or a date; the grammar itself reads ranges of years."""
    return f"{match[1]} to {match[2]}" if int(match[1]) < int(match[2]) else match[0]


def _month(match: re.Match[str]) -> str:
    return _MONTHS[match[1].lower()]


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(?<![\w.])([ap])\.\s?m\b\.?", re.I), _half_day),
    (re.compile(r"(?<=\d)\s?([ap])m\b", re.I), lambda match: f" {match[1].upper()}M"),
    (re.compile(r"((?<![\w'])\w+ )?(?<![\w.])(Dr|St)\b(\.?)"), _place),
    (re.compile(rf"(?<![\w.])({_any_of(_BEFORE_DIGIT)})\.\s?(?=\d)", re.I),
     lambda match: _BEFORE_DIGIT[match[1].lower()] + " "),
    (re.compile(rf"(?<![\w.])({_any_of(_MONTHS)})\.?(?=\s\d)", re.I), _month),
    (re.compile(rf"(?<=\d )({_any_of(_MONTHS)})\.", re.I), _month),
    (re.compile(rf"(?<![\w.])({_any_of(_TITLES)})\.(?=\s[\"']?[A-Z])"), lambda match: _TITLES[match[1]]),
    (re.compile(r"(?<![\w.])(Mr|Mrs|Ms|Messrs)(?:\.(?!\w)|(?=\s[A-Z]))"), lambda match: _TITLES[match[1]]),
    (re.compile(rf"(?<![\w.])({_any_of(_AFTER_NAMES)})\.(?!\w)"), _after_name),
    (re.compile(rf"(?<![\w.])({_any_of(_LATIN)})\.(?!\w)", re.I), _latin),
    (re.compile(r"(?<![\w.])(?:[A-Za-z]\.){2,}(?!\w)"), _initials),
    (re.compile(r"(?<![\w.])([A-HJ-Z])\.(?=\s[A-Z])"), _initial),
    (re.compile(rf"\b({_NUMBERED}) ({_ROMAN})\b", re.I), _numbered),
    (re.compile(r"^(Chapter|Book|Volume|Part|Act|Scene|Canto|Stave) ([IVX])\b(?=[.:,]|\s*—|$)", re.I), _numbered),
    (re.compile(r"(?<![\w-])(\d{1,3})-(\d{1,3})(?![\w-])"), _range),
    (re.compile(rf"\b([A-Z][a-z]+) ({_ROMAN})\b(?:\.(?=,| [a-z]))?"), _regnal),
    (re.compile(rf"\b({_KINGS}) (I(?=\.(?:,| [a-z]|$))|V\b)\.?"), _regnal),
    (re.compile(rf"(?<=\d )({_UNITS})\.(?= [a-z])"), lambda match: match[1]),
    (re.compile(rf"(?<=\d)(st|nd|rd|th)(?= (?:{'|'.join(_MONTHS.values())}|May)\b)"), lambda match: match[1] + " of"),
    (re.compile(r"(?<![\w.])ca?\.\s?(?=\d{4})"), lambda _: "circa "),
)  # fmt: skip

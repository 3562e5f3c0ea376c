"""Transcripts as corpora have them: entities, mojibake, literal escapes are repaired, tags and marked events dropped.

What a reader of the text would not see is no word of it. What nobody can repair (U+FFFD, half a character) is refused:
a voice would learn it in silence. `Recording.notes` says what was found, so that it is counted.
"""

import re
import unicodedata
from dataclasses import replace

from wg2.corpus.recording import Recording, broken_unicode
from wg2.text.cleaning import unescape
from wg2.text.phonemes import BRACED

ENTITY, ESCAPE, MOJIBAKE, TAG, EVENT, BROKEN = "entity", "escape", "mojibake", "tag", "event", "broken character"

_SUSPICIOUS = re.compile(r"[&\\<\[{\x00-\x1f\x7f-\U0010ffff]")
"""A text without any of these is as it should be."""
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|[nrt]|([\"'/]))")
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][\w:.-]*(?:\s[^<>]*)?/?>|<\|[^<>|]*\|>")
_PUNCTUATION = {"<comma>": ",", "<period>": ".", "<questionmark>": "?", "<exclamationpoint>": "!"}
"""GigaSpeech's tags that stand for a mark."""
_BRACKETS = re.compile(r"\[[^][]{1,40}\]|\{[^}{]{1,40}\}|<[^<>]{1,40}>")
_EVENT = re.compile(
    "noises?|breath(?:s|es|e|ing)?|(?:in|ex)hal(?:es?|ing)|laugh(?:s|ing|ter)?|(?:chuckl|giggl|sniffl|mumbl)(?:es?|ing)|"
    "(?:cough|sniff|sigh|gasp|smack|click|swallow|groan|yawn|sob|cheer|bark|ring|slam|knock|hum|beep|bleep)(?:s|ing)?|"
    "(?:sneez|whistl|rustl)(?:es?|ing)|lipsmack|throat|cry(?:ing)?|music|applause|clapping|silence|sil|sp|spn|nsn|lau|brth|"
    "pause|crosstalk|overlap|static|unk|unknown|unintelligible|inaudible|indistinct|xxx|garbage|oov|hesitation|vocalization"
)
"""Words that name a sound, or a word that was not understood."""
_ABOUT_EVENTS = re.compile(
    "an?|the|of|in|on|and|with|background|speaker|speech|voice|mouth|lip|tongue|paper|door|(?:tele)?phone|dog|bell|human|"
    "vocali[sz]ed|spoken|words?|foreign|non|(?:non)?verbal|nonspeech|loud|heavy|deep|short|long|clear(?:s|ing)|softly"
)
_BROKEN_CATEGORIES = {"Cn", "Co", "Cs"}
_SHOWN = 60


def checked(recording: Recording, markup: str) -> Recording:
    """A recording with its transcripts repaired, or with the fault that nobody can repair.

    Args:
        recording: as the reader found it.
        markup: 'drop' or 'refuse': what becomes of tags and marked events.
    """
    if recording.fault or not (_SUSPICIOUS.search(recording.text) or _SUSPICIOUS.search(recording.text_norm)):
        return recording
    notes: dict[str, None] = {}
    text, text_norm = (_repaired(text, notes) for text in (recording.text, recording.text_norm))
    fault = _broken(text) or _broken(text_norm)
    if fault:
        notes[BROKEN] = None
    elif markup == "refuse" and notes.keys() & {TAG, EVENT}:
        fault = "has tags or marked events, and corpus.markup is 'refuse'; correct the row, or set it to drop"
    elif recording.text and not text:
        fault = "is markup alone; write what is said, or remove the recording"
    if fault:
        shown = ascii(recording.text[:_SHOWN]) if _broken(recording.text) else repr(recording.text[:_SHOWN])
        return replace(recording, text="", text_norm="", notes=",".join(notes), fault=f"the transcript {shown} {fault}")
    return replace(recording, text=text, text_norm=text_norm, notes=",".join(notes))


def _repaired(text: str, notes: dict[str, None]) -> str:
    """The text as it was meant; what was found goes into the notes, in this order."""
    plain = unescape(text)
    if plain != text:
        notes[ENTITY] = None
    plain, escapes = _ESCAPE.subn(_character, plain)
    if escapes:
        notes[ESCAPE] = None
    plain = _without_mojibake(plain, notes)
    return _without_markup(plain, notes)


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return chr(int(code, 16)) if code else escape[3] or " "


def _without_mojibake(text: str, notes: dict[str, None]) -> str:
    """UTF-8 that was read as another encoding, as 'donâ€™t', becomes what it was."""
    if text.isascii() or broken_unicode(text):
        return text
    from ftfy import fix_encoding  # takes a tenth of a second, so only where it is needed

    fixed = fix_encoding(text)
    if fixed != text:
        notes[MOJIBAKE] = None
    return fixed


def _without_markup(text: str, notes: dict[str, None]) -> str:
    """Tags go, and brackets that hold an event; brackets around words stay."""

    def event(match: re.Match[str]) -> str:
        words = re.findall("[a-z]+", match[0].lower())
        about = [word for word in words if not _EVENT.fullmatch(word)]
        if BRACED.fullmatch(match[0]) or len(about) == len(words) or not all(map(_ABOUT_EVENTS.fullmatch, about)):
            return match[0]
        notes[EVENT] = None
        return " "

    def tag(match: re.Match[str]) -> str:
        notes[TAG] = None
        return _PUNCTUATION.get(match[0].lower(), " ")

    plain = _BRACKETS.sub(event, text)
    plain = _TAG.sub(tag, plain)
    return text if plain == text else re.sub(r"\s+(?=[,.;:!?](?:\s|$))", "", " ".join(plain.split()))


def _broken(text: str) -> str:
    """Why a text cannot be read; '' when it can."""
    for place, character in enumerate(text if not text.isascii() else ""):
        is_control = "\x80" <= character <= "\x9f"
        if character == "\ufffd" or is_control or unicodedata.category(character) in _BROKEN_CATEGORIES:
            what = "the replacement character" if character == "\ufffd" else "no character of a text"
            return f"has U+{ord(character):04X}, {what}, at {place + 1}: a letter is lost; write it again"
    return ""

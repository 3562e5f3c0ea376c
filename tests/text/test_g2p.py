# ruff: noqa: RUF001 (IPA looks like Latin)
import base64

import gruut_lang_en
import pycrfsuite
import pytest

from wg2.text import g2p
from wg2.text.phonemes import PHONES, VOWELS


def model_sounds() -> set[str]:
    """Every phoneme that gruut's model can put out: its labels are base64 of 'p|q' ('_' is silence)."""
    path = next(iter(gruut_lang_en.__path__)) + "/g2p/model.crf"
    tagger = pycrfsuite.Tagger()
    tagger.open(path)
    decoded = (base64.b64decode(label).decode() for label in tagger.labels())
    return {sound for label in decoded for sound in label.split("|")} - {"_"}


def test_every_sound_of_the_model_has_an_arpabet_phone():
    sounds = model_sounds()
    assert len(sounds) > 60
    mapped = {sound: g2p.arpabet(sound) for sound in sounds}
    assert {phone for phones in mapped.values() for phone in phones} <= PHONES
    assert {phones[0].rstrip("012") for phones in mapped.values()} == {phone.rstrip("012") for phone in PHONES}


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("ˈoʊ", ("OW1",)),
        ("ˌaɪ", ("AY2",)),
        ("ə", ("AH0",)),
        ("ˈɚ", ("ER1",)),
        ("t͡ʃ", ("CH",)),
        ("d͡ʒ", ("JH",)),
        ("tʃ", ("CH",)),
        ("l̩", ("AH0", "L")),
        ("n̩", ("AH0", "N")),
        ("iː", ("IY0",)),
        ("ɡ", ("G",)),
        ("j", ("Y",)),
    ],
)
def test_ipa_becomes_arpabet(ipa: str, phones: tuple[str, ...]):
    assert g2p.arpabet(ipa) == phones


@pytest.mark.parametrize("word", ["okonkwo", "brindlewick", "zelenka", "x", "czolgosz", "nth"])
def test_a_guess_is_arpabet_with_at_most_one_primary_stress(word: str):
    phones = g2p.guess(word)
    assert set(phones) <= PHONES
    vowels = [phone for phone in phones if phone[:2] in VOWELS]
    assert sum(phone.endswith("1") for phone in vowels) == bool(vowels)


def test_stress_is_made_regular():
    assert g2p.one_primary_stress(["OW1", "K", "AA1"]) == ("OW1", "K", "AA2")
    assert g2p.one_primary_stress(["AH0", "K", "OW2"]) == ("AH1", "K", "OW2")
    assert g2p.one_primary_stress(["S", "T"]) == ("S", "T")

"""How long phones are expected to be, by the best known published figures.

D. H. Klatt, "Synthesis by rule of segmental durations in English sentences" (1979); the table of J. Allen,
M. S. Hunnicutt and D. H. Klatt, "From Text to Speech: The MITalk System" (1987), chapter 9. Each phone has an inherent
duration and one below which no rule shortens it; in unstressed syllables half of that (rule 7).
"""

_INHERENT_AND_LEAST = {
    "AA": (240, 100), "AE": (230, 80), "AH": (140, 60), "AO": (240, 100), "AW": (260, 100), "AY": (250, 150),
    "EH": (150, 70), "ER": (180, 80), "EY": (190, 100), "IH": (135, 40), "IY": (155, 55), "OW": (220, 80),
    "OY": (280, 150), "UH": (160, 60), "UW": (210, 70),
    "HH": (80, 20), "L": (80, 40), "R": (80, 30), "W": (80, 60), "Y": (80, 40),
    "M": (70, 60), "N": (60, 50), "NG": (95, 60), "CH": (70, 50), "JH": (70, 50),
    "DH": (50, 30), "F": (100, 80), "S": (105, 60), "SH": (105, 80), "TH": (90, 60), "V": (60, 40), "Z": (75, 40),
    "ZH": (70, 40),
    "B": (85, 60), "D": (75, 50), "G": (80, 60), "K": (80, 60), "P": (90, 50), "T": (75, 50),
}  # fmt: skip
"""Milliseconds."""
_SCHWA = (120, 60)


def expected_ms(phone: str) -> tuple[float, float] | None:
    """Shortest and inherent duration (ms) of an ARPAbet phone with stress; None for what is no phone.

    An unstressed AH is a schwa. Consonants do not know whether their syllable is stressed.
    """
    inherent, least = _SCHWA if phone == "AH0" else _INHERENT_AND_LEAST.get(phone.rstrip("012"), (0, 0))
    if not inherent:
        return None
    return (least / 2 if phone.endswith("0") else float(least)), float(inherent)

"""How fast and how well text becomes phones: `python benchmarks/text.py [METADATA [ROWS]]`, METADATA as in LJSpeech.

One JSON line: rows a CPU-second of the normalised column (mostly plain) and of the raw rows that need the grammar. Of
the rows whose raw and normalised text differ, the share that our normalisation reads word for word as the corpus does,
in both styles of reading hundreds (marks, hyphens, capitals and the spelling of titles such as 'Mr.' do not count).
"""

import csv
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from wg2 import bundled
from wg2.config import TextConfig
from wg2.text import abbreviations
from wg2.text.cleaning import clean
from wg2.text.frontend import Frontend
from wg2.text.normalize import Normalizer, needs_grammar


def rows_per_cpu_second(frontend: Frontend, texts: Sequence[str]) -> float:
    frontend.words(texts[0])  # load what is loaded lazily
    start = time.process_time()
    for text in texts:
        frontend.words(text)
    return round(len(texts) / (time.process_time() - start), 1)


def words(text: str) -> list[str]:
    """What is compared: cleaned words, without abbreviations, case, marks or hyphens."""
    plain = abbreviations.expand(clean(text)).casefold().replace("-", " ")
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", plain)


def exact_match(pairs: Sequence[tuple[str, str]], hundreds_and: bool) -> float:
    """Share of raw texts that are read as their normalised ones."""
    normalizer = Normalizer(hundreds_and=hundreds_and)
    same = sum(words(normalizer(raw)) == words(normalised) for raw, normalised in pairs)
    return round(same / max(len(pairs), 1), 4)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else bundled.CORPUS / "metadata.csv"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="|", quoting=csv.QUOTE_NONE))
    hard = [raw for _, raw, _ in rows if needs_grammar(raw)]
    frontend = Frontend(TextConfig())
    differing = [(raw, normalised) for _, raw, normalised in rows if raw != normalised]
    figures = {
        "plain_rows_per_cpu_s": rows_per_cpu_second(frontend, [normalised for *_, normalised in rows[:count]]),
        "grammar_rows_per_cpu_s": rows_per_cpu_second(frontend, hard[: max(count // 10, 1)]),
        "differing_rows": len(differing),
        "exact_match": exact_match(differing, hundreds_and=True),
        "exact_match_without_and": exact_match(differing, hundreds_and=False),
        "exact_match_first_200_without_and": exact_match(differing[:200], hundreds_and=False),
        "rows": len(rows),
        "rows_without_grammar": len(rows) - len(hard),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

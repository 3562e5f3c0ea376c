"""How fast text becomes phones: `python benchmarks/text.py [METADATA [ROWS]]`, METADATA as LJSpeech has it.

One JSON line: rows a CPU-second of the normalised column (mostly plain) and of the raw rows that need the grammar.
"""

import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from wg2 import bundled
from wg2.config import TextConfig
from wg2.text.frontend import Frontend
from wg2.text.normalize import needs_grammar


def rows_per_cpu_second(frontend: Frontend, texts: Sequence[str]) -> float:
    frontend.words(texts[0])  # load what is loaded lazily
    start = time.process_time()
    for text in texts:
        frontend.words(text)
    return round(len(texts) / (time.process_time() - start), 1)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else bundled.CORPUS / "metadata.csv"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="|", quoting=csv.QUOTE_NONE))
    hard = [raw for _, raw, _ in rows if needs_grammar(raw)]
    frontend = Frontend(TextConfig())
    figures = {
        "plain_rows_per_cpu_s": rows_per_cpu_second(frontend, [normalised for *_, normalised in rows[:count]]),
        "grammar_rows_per_cpu_s": rows_per_cpu_second(frontend, hard[: max(count // 10, 1)]),
        "rows": len(rows),
        "rows_without_grammar": len(rows) - len(hard),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

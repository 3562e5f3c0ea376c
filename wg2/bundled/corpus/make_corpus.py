"""Render the bundled corpus: the raw sentences of metadata.csv, spoken by flite's voice `slt`.

    python wg2/bundled/corpus/make_corpus.py [--out FOLDER]

Needs flite 2.2 (`apt install flite`) and soundfile. It writes, beside the metadata.csv that it reads,

    wavs/ID.flac     16 kHz, mono, 16 bit: flite's own samples
    phones/ID.tsv    phone<TAB>end_s: what flite says and when each phone ends (`flite -psdur`)

flite draws no random numbers here: the same flite makes the same samples again.
"""

import argparse
import csv
import subprocess
import tempfile
from pathlib import Path

import soundfile

HERE = Path(__file__).parent


def sentences() -> list[tuple[str, str]]:
    """(id, raw text) of every line of metadata.csv."""
    with (HERE / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        return [(row[0], row[1]) for row in csv.reader(stream, delimiter="|", quoting=csv.QUOTE_NONE)]


def render(utt_id: str, text: str, out: Path) -> float:
    """Speak one sentence and write its audio and phone end times.

    Returns:
        Its length in seconds.
    Raises:
        RuntimeError: the phones do not end where the audio ends, as when flite splits the text into two utterances.
    """
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        phones = _flite(text, wav)
        samples, rate = soundfile.read(wav, dtype="int16")
    seconds = len(samples) / float(rate)
    if abs(phones[-1][1] - seconds) > 0.05:
        raise RuntimeError(f"{utt_id}: phones end at {phones[-1][1]} s, audio at {seconds:.3f} s; use one sentence")
    soundfile.write(out / "wavs" / f"{utt_id}.flac", samples, rate, subtype="PCM_16")
    table = "".join(f"{phone}\t{end_s:.3f}\n" for phone, end_s in phones)
    (out / "phones" / f"{utt_id}.tsv").write_text(table, encoding="utf-8")
    return seconds


def _flite(text: str, wav: Path) -> list[tuple[str, float]]:
    """Speak `text` into `wav`; a dash is given to flite as '--', the only one at which it pauses."""
    command = ["flite", "-voice", "slt", "-psdur", "-o", str(wav), "-t", text.replace("—", "--")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pairs = (item.rpartition(":") for item in printed.split())
    return [(phone, float(end_s)) for phone, _, end_s in pairs]


def main() -> None:
    """Render all sentences and print what came out."""
    parser = argparse.ArgumentParser(description="Render the bundled corpus with flite.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write wavs/ and phones/ to")
    out = parser.parse_args().out
    for folder in ("wavs", "phones"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    seconds = sum(render(utt_id, text, out) for utt_id, text in sentences())
    size = sum(path.stat().st_size for path in (out / "wavs").iterdir())
    print(f"{len(sentences())} sentences, {seconds:.1f} s, {size / 1e6:.2f} MB of FLAC in {out}")


if __name__ == "__main__":
    main()

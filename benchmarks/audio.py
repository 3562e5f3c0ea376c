"""How fast a recording becomes a clip: decode, mono, resample, trim, loudness, FLAC. One core, one JSON line.

python benchmarks/audio.py [FOLDER of wav or flac files]
"""

import json
import sys
import time
from pathlib import Path

from wg2 import audio, bundled
from wg2.config import AudioConfig


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else bundled.CORPUS / "wavs"
    config = AudioConfig()
    files = [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".wav", ".flac")]
    audio.normalise(files[0], "warm-up", config)  # filter design and imports are paid once in a process
    start, seconds = time.process_time(), 0.0
    for data in files:
        clip = audio.normalise(data, "benchmark", config)
        audio.encode_flac(clip.waveform, clip.sampling_rate)
        seconds += clip.end_s - clip.start_s
    spent = time.process_time() - start
    print(json.dumps({"benchmark": "audio", "files": len(files), "hours_per_core_hour": round(seconds / spent, 1)}))


if __name__ == "__main__":
    main()

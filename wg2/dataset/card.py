"""The data set card: README.md, whose front matter tells Hugging Face `datasets` what is data in the folder.

`datasets.load_dataset(FOLDER)` takes the utterances and leaves rejects, report and outliers alone. A shard holds rows
of several splits, and a card names whole files: so the default configuration has every utterance that readers get, and
the configurations train, validation and test filter by the column `split`.
"""

import json
from collections.abc import Mapping
from typing import Any

from wg2 import storage
from wg2.dataset import outliers

CARD = "README.md"
SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""Hugging Face's word for each of our splits."""

_TEXT = """
# Speech data set

{num_utterances} utterances, {hours:.3f} hours at {sampling_rate} Hz. Written by wg2, and again at each change: notes
are safer in another file.

    datasets.load_dataset(FOLDER)                  # every utterance; the column `split` says which are held out
    datasets.load_dataset(FOLDER, "train")         # or "validation", "test": one part of them

`dataset.json` describes it, `python -m wg2 dataset verify FOLDER` checks it, `rejects/` says what was refused and why.
"""


def write(root: str, document: Mapping[str, Any]) -> None:
    """Write the card of a data set, unless it says so already.

    Args:
        root: folder or s3:// prefix of the data set.
        document: what its dataset.json says.
    Raises:
        StorageError: the place is not writable.
    """
    uri, data = storage.join(root, CARD), _card(document).encode()
    if not storage.exists(uri) or storage.read_bytes(uri) != data:
        storage.write_bytes(uri, data)


def _card(document: Mapping[str, Any]) -> str:
    """Front matter and text; JSON is YAML, line by line where the lines are many."""
    shards = [unit["shard"] for unit in document["units"] if unit["shard"]]
    kept = [["utt_id", "not in", names]] if (names := outliers.read(document).names) else []
    parts = {hf: [["split", "==", split], *kept] for split, hf in SPLITS.items() if document["splits"].get(split)}
    lines = ["---", "configs:"]
    for name, filters in {"default": kept, **parts}.items():
        lines += [f"- config_name: {name}", "  data_files:", f"  - split: {name if name in parts else 'train'}"]
        lines += ["    path:", *(f"    - {json.dumps(shard, ensure_ascii=False)}" for shard in shards)]
        lines += [f"  filters: {json.dumps(filters, ensure_ascii=False)}"] if filters else []
    return "\n".join([*lines, "---", _TEXT.format(**document)])

"""What training leaves on disk: voices and training states, as safetensors and JSON. Nothing is ever unpickled.

    voice folder    model.safetensors (averaged weights)  voice.json (`VoiceInfo`)   what synthesis loads
    state folder    state.safetensors                     state.json                 what a resumed training loads
    history.jsonl   one line for each logged step                                    what reports and MLflow show

`Mirror` keeps a training's folder on S3.

A folder is written beside its place under a hidden name, flushed to the disk and renamed: it is there whole or not at
all. The JSON holds the SHA-256 of the tensors and of its own facts, so a damaged file is refused too.

Torch is imported where tensors are read or written: who wants facts only (a job's driver, MLflow) does not pay for it.
"""

from wg2.checkpoint.history import MetricRow, append_history, cut_history, read_history, saved_history, steps_done
from wg2.checkpoint.mirror import Mirror, working_folder
from wg2.checkpoint.states import (
    latest_state,
    list_states,
    load_state,
    prune_states,
    read_facts,
    save_state,
    state_folder,
    step_of,
)
from wg2.checkpoint.voice import (
    TunedSchedule,
    VoiceInfo,
    check_voice,
    export_voice,
    load_voice_files,
    load_weights,
    read_voice,
    save_voice,
    store_schedule,
    upgrade_model,
    voice_json,
    weights_digest,
    with_lexicon,
)

__all__ = [
    "MetricRow",
    "Mirror",
    "TunedSchedule",
    "VoiceInfo",
    "append_history",
    "check_voice",
    "cut_history",
    "export_voice",
    "latest_state",
    "list_states",
    "load_state",
    "load_voice_files",
    "load_weights",
    "prune_states",
    "read_facts",
    "read_history",
    "read_voice",
    "save_state",
    "save_voice",
    "saved_history",
    "state_folder",
    "step_of",
    "steps_done",
    "store_schedule",
    "upgrade_model",
    "voice_json",
    "weights_digest",
    "with_lexicon",
    "working_folder",
]

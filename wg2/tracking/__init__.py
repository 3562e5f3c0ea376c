"""MLflow: runs, metrics and the model registry. The only place that imports it, where it is used: that takes seconds.

client.py        how a server or an SQLite file is reached
run.py           `Run`: parameters, metrics and files of one training
registry.py      `register`, `resolve_voice`, `Version`
served_model.py  what `mlflow models serve` runs
"""

from wg2.tracking.registry import MODEL_SCHEME, Version, default_voice, find_version, register, resolve_voice
from wg2.tracking.run import Run, git_commit

__all__ = ["MODEL_SCHEME", "Run", "Version", "default_voice", "find_version", "git_commit", "register", "resolve_voice"]

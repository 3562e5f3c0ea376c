"""Train a pickled configuration and speak phones where nothing but the least is installed.

python bare_train.py CONFIG SPEECH.wav
"""

import pickle
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path

INSTALLED = {"torch", "numpy", "pyarrow", "safetensors", "soundfile", "soxr"}
THEIR_OWN = {  # what pip installs with those
    "_cffi_backend", "_soundfile", "_soundfile_data", "cffi", "filelock", "fsspec", "functorch", "jinja2", "markupsafe",
    "mpmath", "networkx", "setuptools", "sympy", "torchgen", "typing_extensions",
}  # fmt: skip


class Bare(MetaPathFinder):
    """Finds nothing but wg2, the standard library and what is said to be installed."""

    def find_spec(self, fullname, path=None, target=None):
        name = fullname.partition(".")[0]
        known = name in INSTALLED | THEIR_OWN | {"wg2"} | sys.stdlib_module_names
        # the build's facts are a module of the standard library with a name for each platform
        return PathFinder.find_spec(fullname, path, target) if known or name.startswith("_sysconfigdata") else None


def main(config: str, speech: str) -> None:
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Bare()]
    import wg2
    from wg2.training.command import train

    settings = pickle.loads(Path(config).read_bytes())
    assert train(settings) == 0
    voice = wg2.load_voice(f"{settings.dir}/training/best")
    voice.say(phones=("AA1", "B", "IY0", "."), steps=2).save(speech)
    assert not {"tqdm", "mlflow", "ray", "matplotlib", "tyro"} & sys.modules.keys()


if __name__ == "__main__":
    main(*sys.argv[1:])

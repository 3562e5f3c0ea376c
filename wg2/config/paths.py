"""Local paths of a configuration made absolute."""

from dataclasses import replace

from wg2 import storage
from wg2.config.data import BUNDLED, MfaConfig
from wg2.config.tree import Config


def absolute(config: Config) -> Config:
    """The configuration with every local path made absolute: workers have other working directories."""
    corpus, text, prepare = config.corpus, config.text, config.prepare
    root = corpus.root if corpus.root == BUNDLED else storage.absolute(corpus.root)
    text = replace(text, lexicon=_path(text.lexicon), grammar_cache=_path(text.grammar_cache))
    prepare = replace(prepare, textgrids=_path(prepare.textgrids), mfa=_absolute_mfa(prepare.mfa))
    train = replace(config.train, init=_voice(config.train.init), cache_dir=_path(config.train.cache_dir))
    return replace(config, dir=storage.absolute(config.dir), dataset=_path(config.dataset), text=text, prepare=prepare,
                   corpus=replace(corpus, root=root), train=train)  # fmt: skip


def _voice(voice: str) -> str:
    """A voice's folder made absolute; a name in the registry stays, and that of the bundled voice."""
    return voice if voice == BUNDLED or voice.startswith("models:/") else _path(voice)


def _absolute_mfa(mfa: MfaConfig) -> MfaConfig:
    """A model may be a name, which is no path."""
    model = mfa.acoustic_model
    return replace(mfa, acoustic_model=_path(model) if "/" in model or model.endswith(".zip") else model)


def _path(uri: str) -> str:
    return storage.absolute(uri) if uri else ""

"""One version of a registered model: what is kept with it, and the alias by which others ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass

from wg2.tracking import _TAG_LENGTH, MODEL_SCHEME, _client, _one_line, _refuse_missing, _version


@dataclass(frozen=True)
class Version:
    """A version in the registry.

    Attributes:
        uri: the registry.
        name: of the model.
        number: of the version.
        run_id: of the run that made it.
    """

    uri: str
    name: str
    number: int
    run_id: str

    @property
    def address(self) -> str:
        """models:/NAME/VERSION."""
        return f"{MODEL_SCHEME}{self.name}/{self.number}"

    def log_text(self, text: str, path: str) -> None:
        """Keep a text with the run that made the version; one of the same path is replaced.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with _one_line(self.uri):
            _client(self.uri).log_text(self.run_id, text, path)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Write tags at the version; those of the same name are replaced.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with _one_line(self.uri):
            for name, value in tags.items():
                _client(self.uri).set_model_version_tag(self.name, str(self.number), name, value[:_TAG_LENGTH])

    def take(self, alias: str) -> None:
        """Let an alias point at this version.

        Raises:
            TrackingError: the server cannot be reached or refuses.
        """
        with _one_line(self.uri):
            _client(self.uri).set_registered_model_alias(self.name, alias, str(self.number))


def find_version(voice: str, uri: str) -> Version:
    """The version that models:/NAME@ALIAS or models:/NAME/VERSION means now.

    Raises:
        TrackingError: no such model, alias or version, or the server cannot be reached.
    """
    _refuse_missing(voice, uri)
    with _one_line(uri):
        found = _version(_client(uri), voice, uri)
    return Version(uri, found.name, int(found.version), str(found.run_id))

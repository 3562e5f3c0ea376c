"""A voice as an MLflow pyfunc: MLflow runs this file where the model is served ("models from code").

    curl .../invocations -H 'Content-Type: application/json' \
        -d '{"dataframe_records": [{"text": "Hello."}], "params": {"steps": 12}}'

answers, for each text, a 16-bit WAV file in `audio` (base64 in JSON), its `sampling_rate` and its `num_samples`.
"""

import io
from collections.abc import Mapping
from typing import Any

import mlflow
import pandas as pd  # type: ignore[import-untyped]
import soundfile
from mlflow.pyfunc.model import PythonModel

import wg2


class ServedVoice(PythonModel):
    """Text in, WAV out."""

    def load_context(self, context: Any) -> None:
        """Load the voice that was registered with the model."""
        self.voice = wg2.load_voice(context.artifacts["voice"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Speak each text.

        Args:
            context: MLflow's; unused.
            model_input: a column `text`.
            params: `steps` of denoising, their rule (`sampler`), `seed` of the noise and `pace` (2.0 is twice as fast).
        """
        settings = dict(params or {})
        return pd.DataFrame([self._speak(text, settings) for text in model_input["text"]])

    def _speak(self, text: str, settings: dict[str, Any]) -> dict[str, Any]:
        speech = self.voice.say(text, **settings)
        stream = io.BytesIO()
        soundfile.write(stream, speech.waveform, speech.sampling_rate, format="WAV", subtype="PCM_16")
        return {
            "audio": stream.getvalue(),
            "sampling_rate": speech.sampling_rate,
            "num_samples": len(speech.waveform),
        }


mlflow.models.set_model(ServedVoice())

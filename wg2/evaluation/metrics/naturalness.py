"""DNSMOS P.835: what listeners would say of noise and distortion, on the scale 1 to 5, without a reference.

Reddy, Gopal & Cutler, "DNSMOS P.835: A non-intrusive perceptual objective speech quality metric to evaluate noise
suppressors", ICASSP 2022, with the authors' own weights from the wheel of `speechmos`. It was trained on noisy and
denoised speech: it hears artefacts, and says little about prosody or mispronounced words.

Shapes: S samples.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wg2 import audio

SAMPLING_RATE = 16_000
"""What the network was trained on, Hz."""
SHORTEST_S = 0.1
"""A shorter clip would be repeated a hundred times to fill the network's window of 9 s: it is not judged."""


class Dnsmos:
    """The network, loaded once. It computes on one thread: an actor has one CPU, and sums then have one order."""

    def __init__(self) -> None:
        import onnxruntime
        import speechmos
        from speechmos import dnsmos

        models = Path(speechmos.__path__[0], "dnsmos_models")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._model: Any = dnsmos.DNSMOS.__new__(dnsmos.DNSMOS)  # its __init__ takes all cores
        for attribute, file in (("onnx_sess", "sig_bak_ovr.onnx"), ("p808_onnx_sess", "model_v8.onnx")):
            setattr(self._model, attribute, onnxruntime.InferenceSession(str(models / file), options))

    def __call__(self, waveform: NDArray[np.float32], sampling_rate: int) -> dict[str, float]:
        """`dnsmos` (overall), `dnsmos_sig` (the speech) and `dnsmos_bak` (the background) of `waveform` [S].

        Nothing for a clip that is shorter than `SHORTEST_S`.
        """
        if len(waveform) < SHORTEST_S * sampling_rate:
            return {}
        samples = np.clip(audio.resample(waveform, sampling_rate, SAMPLING_RATE), -1.0, 1.0)
        scores = self._model(samples, SAMPLING_RATE, False)
        names = {"dnsmos": "ovrl_mos", "dnsmos_sig": "sig_mos", "dnsmos_bak": "bak_mos"}
        return {name: float(scores[key]) for name, key in names.items()}

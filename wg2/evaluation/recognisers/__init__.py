"""Who listens, where a word error rate is wanted: Whisper, or pocketsphinx where that is not installed.

Figures of two recognisers are never mixed: everything that holds one names its recogniser.
"""

from wg2.evaluation.recognisers.base import Recogniser
from wg2.evaluation.recognisers.choice import RecogniserChoice, announcement, choose
from wg2.evaluation.recognisers.comparison import error_rates

__all__ = ["Recogniser", "RecogniserChoice", "announcement", "choose", "error_rates"]

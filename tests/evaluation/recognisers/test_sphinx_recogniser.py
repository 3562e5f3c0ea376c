"""What pocketsphinx hears depends on the utterance alone, though its front end has a state."""

import numpy as np
import soundfile

from wg2.evaluation.recognisers import choose


def test_what_is_heard_does_not_depend_on_what_was_heard_before(bundled_corpus):
    (first, rate), (second, _) = (soundfile.read(bundled_corpus / f"wavs/DEMO-00{n}.flac", dtype="float32")
                                  for n in (1, 2))  # fmt: skip
    alone = choose("sphinx").load().words(second, rate)
    recogniser = choose("sphinx").load()
    recogniser.words(first, rate)
    assert recogniser.words(second, rate) == alone != ()
    assert recogniser.words(np.zeros(0, np.float32), rate) == ()

"""Speaking: text in, waveform and exact word times out.

    voice = wg2.load_voice("runs/demo/training/best")
    speech = voice.say("Two birds sat on a wire.", steps=50)
    speech.save("birds.wav")

The waveform of a sentence depends on the voice, the text, the steps, the sampler, the seed and the pace, and on nothing
else: noise is drawn by absolute sample index, a batch equals its singles, and chunks equal the whole. Sums in another
order differ by rounding: 1e-4 of full scale at most.
"""

from wg2.synthesis.decoding import batches, within_range
from wg2.synthesis.sentences import Line, Sentence, split_sentences
from wg2.synthesis.speech import Speech, word_intervals
from wg2.synthesis.voice import Voice, load_voice

__all__ = [
    "Line",
    "Sentence",
    "Speech",
    "Voice",
    "batches",
    "load_voice",
    "split_sentences",
    "within_range",
    "word_intervals",
]

"""A blind listening test as one HTML file, and the statistics of its answers.

stimuli.py   the recordings of each system, at one loudness; the anchor
page.py      the file that listeners open, and the key that says what its codes are
answers.py   the CSV files that listeners send, read against the key
analysis.py  means with intervals, checks of listeners, significance of pairs
summary.py   the same for a reader
command.py   `python -m wg2 listening make|summarize`
"""

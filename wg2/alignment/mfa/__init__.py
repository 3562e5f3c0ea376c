"""The Montreal Forced Aligner 3 as a back end: its command line, in an environment of its own.

command.py runs it, acoustic.py knows its models, unit_folder.py writes what it reads, outputs.py reads what it wrote,
aligner.py is the back end with its ladder of second chances, training.py makes a model from the corpus itself.

What it does with good and bad input was measured on 3.4.3; where the text relies on that, it says "measured".
"""

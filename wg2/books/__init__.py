"""Whole books: what is read, what is spoken, and what a listener gets.

    source.py     a file -> Book: chapters of paragraphs (text.py and epub.py read, furniture.py leaves out what is not
                  the author's)
    plan.py       Book -> sentences in order, each with the pause after it
    narrator.py   a sentence -> its best take, checked by the recogniser
    blocks.py     what has been spoken, committed block by block
    assembly.py   takes -> when each word of a chapter is spoken, and its FLAC
    note.py       book.json, written last: what was made, of what
    m4b.py        the same as AAC: an M4A a chapter, and one M4B with chapter marks and cover
    readalong.py  the same as WebVTT and as an EPUB 3 with media overlays

Nothing here imports torch: the voice comes in as a function.
"""

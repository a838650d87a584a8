"""How US English words are said, learned from 33,000 words; see `g2p`."""

from . import Asked, g2p

JOB = "translate"
TITLE = "US English words to sounds"
DATA = g2p.files("high__eng_us")
ASKED = (Asked("words with a mistake, %", "<=", 45),)


def run(settings):
    """Train, and read the test part once."""
    yield from g2p.run(settings, DATA, ASKED, epochs=20)

"""How Hungarian words are said, learned from 8,000 words; see `g2p`."""

from . import Asked, g2p

JOB = "translate"
TITLE = "Hungarian words to sounds"
DATA = g2p.files("medium__hun")
ASKED = (Asked("words with a mistake, %", "<=", 2.5),)


def run(settings):
    """Train, and read the test part once."""
    yield from g2p.run(settings, DATA, ASKED)

"""How French words are said, learned from 8,000 words; see `g2p`."""

from . import Asked, g2p

JOB = "translate"
TITLE = "French words to sounds"
DATA = g2p.files("medium__fre")
ASKED = (
    Asked("words with a mistake, %", "<=", 10),
    Asked("of one network less those of three together, %", ">", 0),
)


def run(settings):
    """Train, and read the test part once."""
    yield from g2p.run(settings, DATA, ASKED, epochs=20)

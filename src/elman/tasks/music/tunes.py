"""The built-in example of the music job: tunes that everybody may sing, with chords below them.

Melodies are written as in ABC notation: letters are notes, `,` and `'` move them an octave, small letters stand an
octave higher, a number is a length in eighths, `z` is a rest, `-` ties. Sharps and flats of the key are understood;
`^`, `_` and `=` hold for one note. Chords are one a bar, or two with a stroke between them; a bar before the first
whole one has none.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import torch

from elman.data import Keyboard, Pieces

TEMPO = 100.0
_NOTE = re.compile(r"([_^=]?)([A-Ga-gz])([,']*)(\d*)(?:/(\d+))?(-?)")
_PITCH = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHARPS, _ACCIDENTAL = "FCGDAEB", {"_": -1, "^": 1, "=": 0}
_MIDDLE_C, _LOW = 60, 48


class Tune(NamedTuple):
    """A tune: its name, eighths of a bar, sharps of its key (flats are negative), chords, melody."""

    name: str
    bar: int
    sharps: int
    chords: str
    melody: str


TUNES = (
    Tune("Twinkle, Twinkle, Little Star", 8, 0, "C F/C F/C G/C C/F C/G C/F C/G C F/C F/C G/C",
         "C2C2G2G2|A2A2G4|F2F2E2E2|D2D2C4|G2G2F2F2|E2E2D4|G2G2F2F2|E2E2D4|C2C2G2G2|A2A2G4|F2F2E2E2|D2D2C4"),
    Tune("Frère Jacques", 8, 0, "C C C C C C C/G C/G",
         "C2D2E2C2|C2D2E2C2|E2F2G4|E2F2G4|GAGFE2C2|GAGFE2C2|C2G,2C4|C2G,2C4"),
    Tune("Ode to Joy (Beethoven)", 8, 0, "C G C G C G C G/C G/C G/C G/C G C G C G/C",
         "E2E2F2G2|G2F2E2D2|C2C2D2E2|E3DD4|E2E2F2G2|G2F2E2D2|C2C2D2E2|D3CC4|D2D2E2C2|D2EFE2C2|D2EFE2D2|C2D2G,4|"
         "E2E2F2G2|G2F2E2D2|C2C2D2E2|D3CC4"),
    Tune("Mary Had a Little Lamb", 8, 0, "C C G C C C G C",
         "E2D2C2D2|E2E2E4|D2D2D4|E2G2G4|E2D2C2D2|E2E2E2E2|D2D2E2D2|C8"),
    Tune("London Bridge", 8, 0, "C C G C C C G C",
         "G3AG2F2|E2F2G4|D2E2F4|E2F2G4|G3AG2F2|E2F2G4|D4G4|E2C6"),
    Tune("Row, Row, Row Your Boat", 6, 0, "C C C C C C G C", "C3C3|C2DE3|E2DE2F|G6|cccGGG|EEECCC|G2FE2D|C6"),
    Tune("Amazing Grace", 6, 1, "G G C G G G D D G G C G G D G G",
         "D2|G4BG|B4A2|G4E2|D4D2|G4BG|B4A2|d6-|d4B2|d4BG|B4A2|G4E2|D4D2|G4BG|B4A2|G6-|G4"),
    Tune("Auld Lang Syne", 8, -1, "F C F Bb F C Dm/C F F C F Bb F C Dm/C F",
         "C2|F3FF2A2|G3FG2A2|F3FA2c2|d6d2|c3AA2F2|G3FG2A2|F3DD2C2|F6d2|c3AA2F2|G3FG2d2|c3AA2c2|d6d2|c3AA2F2|G3FG2A2|"
         "F3DD2C2|F6"),
    Tune("Scarborough Fair", 6, 0, "Dm Dm C Dm Dm F C Am F F C C Dm C C Dm Dm",
         "D4D2|A4A2|E3FE2|D4A2|c2d2c2|A2B2G2|A6|z4d2|d4d2|c4A2|A2G2F2|E2C4|D4A2|G4F2|E2D2C2|D6-|D6"),
    Tune("Greensleeves", 6, 0, "Am G Am E Am G Am/E Am C G Am E C G Am/E Am",
         "A|c2de3/2f1/2e|d2BG3/2A1/2B|c2AA3/2^G1/2A|B2^GE2A|c2de3/2f1/2e|d2BG3/2A1/2B|c3/2B1/2A^G3/2^F1/2^G|A3A3|"
         "g3g3/2f1/2e|d2BG3/2A1/2B|c2AA3/2^G1/2A|B2^GE3|g3g3/2f1/2e|d2BG3/2A1/2B|c3/2B1/2A^G3/2^F1/2^G|A3A2"),
    Tune("Oh! Susanna (Foster)", 8, 0, "C C C G C C C/G C F F C G C C C/G C",
         "CD|E2G2G3A|G2E2C3D|E2E2D2C2|D6CD|E2G2G3A|G2E2C3D|E2E2D2D2|C6z2|F4F4|A2A4A2|G2G2E2C2|D6CD|E2G2G3A|G2E2C3D|"
         "E2E2D2D2|C6"),
    Tune("Yankee Doodle", 8, -1, "F F/C F F/C F Bb C F Bb Bb/F F F Bb Bb F/C F",
         "F2F2G2A2|F2A2G2C2|F2F2G2A2|F4E4|F2F2G2A2|B2A2G2F2|E2C2D2E2|F4F4|D3ED2C2|D2E2F4|C3DC2B,2|A,4C4|D3ED2C2|"
         "D2E2F2D2|C2F2E2G2|F4F4"),
    Tune("Jingle Bells (Pierpont)", 8, 0, "C C C C F C D G C C C C F C G C",
         "E2E2E4|E2E2E4|E2G2C3D|E8|F2F2F3F|F2E2E2EE|E2D2D2E2|D4G4|E2E2E4|E2E2E4|E2G2C3D|E8|F2F2F3F|F2E2E2EE|G2G2F2D2|C8"),
    Tune("Silent Night (Gruber)", 6, 0, "C C G C F C F C G C C/G C",
         "G3/2A1/2GE3|G3/2A1/2GE3|d2dB3|c2cG3|A2Ac3/2B1/2A|G3/2A1/2GE3|A2Ac3/2B1/2A|G3/2A1/2GE3|d2df3/2d1/2B|c3e3|"
         "c3/2G1/2EG3/2F1/2D|C6"),
    Tune("Good King Wenceslas", 8, 1, "G G C/D G G G C/D G G G C/D G G D G C G",
         "G2G2G2A2|G2G2D4|E2D2E2F2|G4G4|G2G2G2A2|G2G2D4|E2D2E2F2|G4G4|d2c2B2A2|B2A2G4|E2D2E2F2|G4G4|D2D2E2F2|G2G2A4|"
         "d2c2B2A2|G4c4|G8"),
    Tune("Au clair de la lune", 8, 0, "C C/G C/G C C C/G C/G C Dm Dm Dm G C C/G C/G C",
         "C2C2C2D2|E4D4|C2E2D2D2|C8|C2C2C2D2|E4D4|C2E2D2D2|C8|D2D2D2D2|A,4A,4|D2C2B,2A,2|G,8|C2C2C2D2|E4D4|C2E2D2D2|C8"),
    Tune("Alle meine Entchen", 8, 0, "C C F C F C Dm C G C",
         "C2D2E2F2|G4G4|A2A2A2A2|G8|A2A2A2A2|G8|F2F2F2F2|E4E4|D2D2D2D2|C8"),
    Tune("Hänschen klein", 8, 0, "C G C C C G C C G G C C C G C C",
         "G2E2E4|F2D2D4|C2D2E2F2|G2G2G4|G2E2E4|F2D2D4|C2E2G2G2|C8|D2D2D2D2|D2E2F4|E2E2E2E2|E2F2G4|G2E2E4|F2D2D4|"
         "C2E2G2G2|C8"),
    Tune("Deck the Halls", 8, 0, "C C G/C G/C C C G/C G/C G C/G C D/G C C F/C G/C",
         "G3FE2D2|C2D2E2C2|DEFDE3D|C2B,2C4|G3FE2D2|C2D2E2C2|DEFDE3D|C2B,2C4|D3EF2D2|E3FG2D2|E^FG2ABc2|B2A2G4|G3FE2D2|"
         "C2D2E2C2|AAAAG3F|E2D2C4"),
    Tune("We Wish You a Merry Christmas", 6, 1, "G C A D B Em C/D G G D A D G D C/D G",
         "D2|G2GAGF|E2E2E2|A2ABAG|F2D2D2|B2BcBA|G2E2DD|E2A2F2|G4D2|G2G2G2|F4F2|G2F2E2|D4A2|B2A2G2|d2D2DD|E2A2F2|G4"),
    Tune("God Save the King", 6, 1, "G D G G Am/D G G G D D G G C/D G",
         "G2G2A2|F3GA2|B2B2c2|B3AG2|A2G2F2|G6|d2d2d2|d3cB2|c2c2c2|c3BA2|B2cBAG|B3cd2|ecB2A2|G6"),
    Tune("Oh My Darling, Clementine", 6, -1, "F F F C C F C F", "FF|F2C2AA|A2F2FA|c3cBA|G4GA|B2B2AG|A2F2FA|G2C2EG|F4"),
    Tune("When the Saints Go Marching In", 8, 0, "C C C C C C C G C C C F F C G C",
         "z2C2E2F2|G8|z2C2E2F2|G8|z2C2E2F2|G4E4|C4E4|D8|z2E2E2D2|C6C2|E4G4|G2F6|z4E2F2|G4E4|C4D4|C8"),
    Tune("Old MacDonald Had a Farm", 8, 1, "G C/G G/D G G C/G G/D G G G G G G C/G G/D G",
         "G2G2G2D2|E2E2D4|B2B2A2A2|G6D2|G2G2G2D2|E2E2D4|B2B2A2A2|G6DD|G2G2G2DD|G2G2G4|GGG2GGG2|GGGGG2G2|G2G2G2D2|E2E2D4|"
         "B2B2A2A2|G8"),
    Tune("Drunken Sailor", 8, 0, "Dm Dm C C Dm Dm C Dm Dm Dm C C Dm Dm C Dm",
         "A2AAA2AA|A2D2F2A2|G2GGG2GG|G2C2E2G2|A2AAA2AA|A2B2c2d2|c2A2G2E2|D4D4|A4A4|A2D2F2A2|G4G4|G2C2E2G2|A4A4|A2B2c2d2|"
         "c2A2G2E2|D4D4"),
    Tune("Joy to the World", 8, 0, "C C C/G C F G C C C C C G G C C C/G C",
         "c4B3A|G6F2|E4D4|C6G2|A6A2|B6B2|c6cc|cBAGG3F|E2c2cBAG|G3FE2EE|EEEFG4-|G2FEDDDE|F6ED|C2c4A2|G3FE2F2|E4D4|C8"),
    Tune("O Tannenbaum", 6, -1, "F F C F F Gm C F F F C F",
         "C2|F3/2F1/2F2G2|A3/2A1/2A3A|GAB2E2|G2F2zc|cAd3c|cBB3B|BGc3B|BAA2C2|F3/2F1/2F2G2|A3/2A1/2A3A|GAB2E2|G2F2"),
    Tune("Ach, du lieber Augustin", 6, 0, "C C G C C C G C G C G C C C G C",
         "G3AGF|E2C2C2|D2G,2G,2|E2C2C2|G3AGF|E2C2C2|D4G,2|C6|D2G,2G,2|E2C2C2|D2G,2G,2|E2C2C2|G3AGF|E2C2C2|D4G,2|C6"),
    Tune("Kuckuck, Kuckuck, ruft's aus dem Wald", 6, 0, "C C G C G G C C C C G C",
         "G2E4|G2E4|D2C2D2|C6|D2D2E2|F4D2|E2E2F2|G4E2|G2E4|G2E4|F2E2D2|C6"),
    Tune("Sur le pont d'Avignon", 8, -1, "F C F C F C F C/F",
         "F2F2F4|G2G2G4|A2B2c2F2|E2F2G2C2|F2F2F4|G2G2G4|A2B2c2F2|G2E2F4"),
    Tune("Pop Goes the Weasel", 6, 0, "C C C C C C Dm C",
         "G,|C2CD2D|EGEC2G,|C2CD2D|E3C2G,|C2CD2D|EGEC3|A3D2F|E3C2"),
    Tune("Adeste fideles", 8, 1, "G D G G/D D D/A D D G C/G D/G D G G G/D G/D Am D G/D G",
         "G2|G4D2G2|A4D4|B2A2B2c2|B4A2G2|G4F2E2|F2G2A2B2|F4E3D|D6z2|d4c2B2|c4B4|A2B2G2A2|F3ED2G2|G2F2G2A2|G4D2B2|"
         "B2A2B2c2|B4A2B2|c2B2A2G2|F4G2c2|B4A3G|G6"),
    Tune("Michael, Row the Boat Ashore", 8, 0, "C C F C C Dm C/G C",
         "C2E2|G3EG2A2|G4E2G2|A8|G4E2G2|G3EF2E2|D4C2D2|E4D4|C4"),
    Tune("Old Hundredth", 8, 1, "G/Em G G C/G D/Em C/G G C/D",
         "G2|G2F2E2D2|G2A2B2B2|B2B2A2G2|c2B2A2G2|A2B2A2G2|E2F2G2d2|B2G2A2c2|B2A2G2"),
    Tune("Aura Lee (Poulton)", 8, 1, "G A D G G A D G G G D G G A D G",
         "D2G2F2G2|A2E2A4|G2F2E2F2|G8|D2G2F2G2|A2E2A4|G2F2E2F2|G8|B2B2B4|B2B2B4|B2A2G2A2|B8|B2B2c2B2|A2E2A4|G2F2B2A2|G8"),
    Tune("Sakura", 8, 0, "Am Am Am Dm Am Am Am Dm Am Am Am Am Dm Am",
         "A2A2B4|A2A2B4|A2B2c2B2|A2BAF4|E2C2E2F2|E2ECB,4|A2B2c2B2|A2BAF4|E2C2E2F2|E2ECB,4|A2A2B4|A2A2B4|E2F2BAF2|E8"),
    Tune("Summ, summ, summ", 8, 0, "C C G C C G C G C C G C",
         "G4F4|E8|D2E2F2D2|C8|E2F2G2E2|D2E2F2D2|E2F2G2E2|D2E2F2D2|G4F4|E8|D2E2F2D2|C8"),
    Tune("Three Blind Mice", 6, 0, "C/G C C/G C C/G C C/G C C C C C C C C/G C",
         "E3D3|C6|E3D3|C6|G3F2F|E6|G3F2F|E5G|c2cBAB|c2GG2G|c2cBAB|c2GG2G|c2cBAB|c2GG2F|E3D3|C6"),
    Tune("Wiegenlied (Brahms)", 6, 0, "C C C Dm G G G C F C G C F C G C",
         "EE|G4EE|G4EG|c2B3A|A2G2DE|F4DE|F4DF|BAG2B2|c4CC|c4AF|G4EC|F2G2A2|G4CC|c4AF|G4EC|F2E2D2|C4"),
    Tune("The Kesh", 6, 1, "G D G D G D G D/G G C G D G C G D/G",
         "G3GAB|A3ABd|eddgdd|edBdBA|GAGGAB|ABAABd|eddgdB|AGFG3|B2Bd2d|egedBA|B2BdBG|ABAAGA|BABd^cd|egedBd|gfgaga|bgfg3"),
    Tune("Drowsy Maggie", 8, 2, "Em Em/D Em Bm/D Em Em/D Em Bm/D D A D A/D D A D Bm/D",
         "E2BEdEBE|E2BEAFDF|E2BEdEBE|BABcdAFD|E2BEdEBE|E2BEAFDF|E2BEdEBE|BABcdAFD|d2fdc2ec|defgafge|d2fdc2ec|BABcdAFA|"
         "d2fdc2ec|defgafge|afgefdec|BABcdAFD"),
    Tune("Cooley's", 8, 2, "Em Em D D Em Em D D/Em Em Em D D Em Em D D/Em",
         "EBBAB2EB|B2ABdBAG|FDADBDAD|FDADdAFD|EBBAB2EB|B2ABdefg|afecdBAF|DEFDE4|eBB2eBgf|eBB2gedB|A2FADAFA|A2FAdefg|"
         "eBB2eBgf|eBB2defg|afecdBAF|DEFDE4"),
    Tune("The Swallowtail", 6, 2, "Em Em D D Em Em D D/Em Em Em Em D Em Em D D/Em",
         "GEEBEE|GEEBAG|FDDADD|dcdAGF|GEEBEE|GEEB2c|dcdAGF|GEEE3|Bcde2f|e2fedB|Bcde2f|edBd3|Bcde2f|e2fedB|dcdAGF|GEEE3"),
    Tune("Londonderry Air", 8, 0, "C F C G C F C/G C F C Am G C F/C C/G C",
         "zB,CD|E3DEAGE|DCA,2zCEF|G3AGECE|D4zB,CD|E3DEAGE|DCA,2zB,CD|E3FEDCD|C4zGAB|c3BBAGA|GEC2zGAB|c3BBAGE|D4zGGG|"
         "e3ddcAc|GEC2zB,CD|EAGEDCA,B,|C4"),
)  # fmt: skip


def builtin_tunes(keyboard: Keyboard) -> Pieces:
    """The tunes as frames of a keyboard."""
    rows = [_frames(tune, keyboard) for tune in TUNES]
    names = tuple(tune.name for tune in TUNES)
    return Pieces(tuple(rows), names, keyboard.channels, keyboard, TEMPO)


def notes(tune: Tune) -> Iterator[tuple[Fraction, Fraction, int]]:
    """The notes of a tune, its chords first: beginning and end in eighths, and the key."""
    bars = tune.melody.split("|")
    begun = _upbeat(tune)
    whole = list(range(len(bars)))[len(bars) - len(tune.chords.split()) :]
    for number, bar in enumerate(bars):
        end = begun + bar_length(bar)
        if number in whole:
            yield from _chords(tune.chords.split()[number - whole[0]], begun, end)
        begun = end
    yield from _melody(tune)


def bar_length(bar: str) -> Fraction:
    """The length of a bar in eighths."""
    return sum((_length(found) for found in _NOTE.finditer(bar)), Fraction(0))


def _upbeat(tune: Tune) -> Fraction:
    """Eighths of silence before a tune that does not begin with a whole bar."""
    return tune.bar - bar_length(tune.melody.split("|")[0])


def _melody(tune: Tune) -> Iterator[tuple[Fraction, Fraction, int]]:
    at, held = _upbeat(tune), None
    for found in _NOTE.finditer(tune.melody):
        end = at + _length(found)
        if found[2] != "z":
            begun = at if held is None else held
            held = begun if found[6] else None
            if held is None:
                yield begun, end, _pitch(found, tune.sharps)
        at = end


def _chords(said: str, begun: Fraction, end: Fraction) -> Iterator[tuple[Fraction, Fraction, int]]:
    """The three notes of each chord of a bar."""
    names = said.split("/")
    length = (end - begun) / len(names)
    for number, name in enumerate(names):
        root = _PITCH[name[0]] - ("b" in name[1:])
        for third in (0, 3 if name.endswith("m") else 4, 7):
            yield begun + number * length, begun + (number + 1) * length, _LOW + (root + third) % 12


def _length(found: re.Match[str]) -> Fraction:
    return Fraction(int(found[4] or 1), int(found[5] or 1))


def _pitch(found: re.Match[str], sharps: int) -> int:
    letter = found[2].upper()
    signed = letter in (_SHARPS[:sharps] if sharps > 0 else _SHARPS[sharps:] if sharps else "")
    own = (1 if sharps > 0 else -1) if signed else 0
    octave = found[3].count("'") - found[3].count(",") + found[2].islower()
    return _MIDDLE_C + _PITCH[letter] + 12 * octave + _ACCIDENTAL.get(found[1], own)


def _frames(tune: Tune, keyboard: Keyboard) -> torch.Tensor:
    played = [
        (round(start * keyboard.resolution / 2), round(end * keyboard.resolution / 2), key)
        for start, end, key in notes(tune)
    ]
    frames = torch.zeros(max(end for _, end, _ in played), len(keyboard.channels), dtype=torch.float64)
    for start, end, key in played:
        if keyboard.lowest <= key <= keyboard.highest:
            frames[start : max(end, start + 1), key - keyboard.lowest] = 1
            if keyboard.attacks:
                frames[start, keyboard.keys + key - keyboard.lowest] = 1
    return frames

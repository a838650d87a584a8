"""The year in a sentence: what is written, what each network can see, and how far what it has learned goes."""

import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError
from elman.examples import nepal


@given(st.integers(9, 75), st.data())
def test_sentences_are_what_is_asked(length, data):
    draw = random.Random(data.draw(st.integers(0, 10**6)))
    position = data.draw(st.none() | st.sampled_from([1, *range(5, length - 3)] if length > 9 else [5]))
    sentence = nepal.write_sentence(draw, length, position)
    words = sentence.words
    assert len(words) == length and set(words) <= set(nepal.NUMBER_OF)
    assert position is None or sentence.position == position
    assert "".join(words[sentence.position : sentence.position + 4]) == str(sentence.year)
    years = [place for place, both in enumerate(pairwise(words)) if both[0] == "in" and both[1].isdigit()]
    assert years == [sentence.position - 1]  # what follows on "in" at once is the year, and no other number
    assert nepal.read_words(" ".join(words)) == list(words)


def test_sentences_that_do_not_fit():
    for length, position in ((8, None), (20, 0), (20, 17), (20, -1)):
        with pytest.raises(ArgumentError, match="room for a sentence"):
            nepal.write_sentence(random.Random(0), length, position)
    for words in ([], [[]], [["so"] * 76]):
        with pytest.raises(ArgumentError, match="1 to 75 words"):
            nepal.make_rows(words)
    with pytest.raises(ArgumentError, match="expected a sentence"):
        nepal.read_words(" ")


def test_words():
    assert nepal.read_words("In 2009, I WENT!") == ["in", "2", "0", "0", "9", ",", "i", "went", "!"]
    rows = nepal.make_rows([["in", "zanzibar"], ["in", nepal.UNKNOWN, "so"]], [2009, 1984])
    assert rows.lengths.tolist() == [2, 3] and rows.digits.tolist() == [[2, 0, 0, 9], [1, 9, 8, 4]]
    assert torch.equal(rows.x[:2, 0], rows.x[:2, 1]) and not rows.x[2:, 0].any() and rows.x.shape == (75, 2)


def test_positions_of_training():
    draw = random.Random(0)
    seen = {nepal.write_sentence(draw, draw.randint(*nepal.LENGTHS)).position for _ in range(2000)}
    assert seen == set(nepal.TRAINED) and not seen & set(nepal.NEVER)


def test_what_each_network_can_see():
    """Which words have a gradient: all; all; the last nine."""
    rows = nepal.draw_rows(random.Random(1), 3, (20, 25))
    for reader, reach in zip(nepal.make_readers(0), (75, 75, 9), strict=True):
        seen = {}
        reader.embedding.register_forward_hook(lambda _, __, y, seen=seen: (y.retain_grad(), seen.update(y=y))[1])
        reader(rows).square().sum().backward()
        by_word = seen["y"].grad.abs().sum(-1)
        for row, length in enumerate(rows.lengths.tolist()):
            words = by_word[:length, row] > 0
            assert words[-reach:].all() and not words[:-reach].any(), reader.name


def test_all_are_as_large():
    weights = [reader.weights for reader in nepal.make_readers(3)]
    assert max(weights) < 1.05 * min(weights)


def test_padding_is_not_read_by_the_recurrent_network():
    reader = nepal.make_readers(0)[0]
    rows = nepal.draw_rows(random.Random(2), 4)
    noise = torch.arange(75).unsqueeze(1) >= rows.lengths
    other = nepal.Rows(torch.where(noise, 3, rows.x), rows.lengths, rows.digits)
    assert torch.equal(reader(rows), reader(other))
    alone = [reader(rows.of(torch.tensor([row]))) for row in range(4)]
    assert torch.allclose(torch.cat(alone), reader(rows), atol=1e-5)


@pytest.mark.slow
def test_training_is_the_same_twice_and_helps():
    rows = nepal.draw_rows(random.Random(0), 500)
    start, once, again = (nepal.make_readers(0)[0] for _ in range(3))
    for reader in (once, again):
        nepal.train(reader, rows, 25, seed=0, batch=32)
    for name, weight in once.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]) and not torch.equal(weight, start.state_dict()[name])
    losses = [torch.nn.functional.cross_entropy(r(rows).flatten(0, 1), rows.digits.flatten()) for r in (start, once)]
    assert losses[1] < losses[0] - 0.3
    with pytest.raises(ArgumentError, match="iterations >= 1"):
        nepal.compare(iterations=0)
    with pytest.raises(ArgumentError, match="the year at 74"):
        nepal.compare(positions=(1, 74))


@pytest.mark.slow
def test_only_the_recurrent_network_goes_beyond_its_training(tmp_path, capsys, monkeypatch):
    found = nepal.compare(seed=0, positions=(1, 6, 12, 21, 30, 40, 50, 60, 65, 70))
    recurrent, connected, convolution = found
    assert recurrent.alike > 0.98 and recurrent.mean(nepal.TRAINED) > 0.95 and recurrent.mean(nepal.NEVER) > 0.95
    assert connected.alike > 0.5 and connected.mean(nepal.NEVER) < 0.05
    assert convolution.by_position[70] > 0.7 and convolution.mean(range(64)) < 0.05
    monkeypatch.setattr(nepal, "compare", lambda seed, iterations: found)
    nepal.main(["--picture", str(tmp_path / "nepal.png"), "--ask", "In 1987 we went to Zanzibar, by boat"])
    said = capsys.readouterr().out
    assert "fully connected" in said and "1987" in said
    assert (tmp_path / "nepal.png").read_bytes()[:4] == b"\x89PNG"


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    for wrong in (["--ask", ""], ["--iterations", "0"], ["--picture", str(tmp_path / "x.gif")]):
        with pytest.raises(SystemExit) as left:
            nepal.main(wrong)
        assert left.value.code == 2 and "error: " in capsys.readouterr().err

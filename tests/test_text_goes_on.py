"""A text model that goes on: with another text, in turn with its user, by a beam, and what its layers hold."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file
from typer.testing import CliRunner

from elman import cli, decoding
from elman.data import UNKNOWN, builtin_text
from elman.errors import ArgumentError, DataError
from elman.tasks import TextModel
from elman.tasks.archive import save_archive
from elman.tasks.text.picture import _laid_out

RHYME = "one two, buckle my shoe; three four, knock at the door;\n" * 30
OTHER = "five six, pick up sticks! Zwölf Boxkämpfer jagen Viktor;\n" * 30
SMALL = {
    "hidden_size": 24,
    "embedding": 8,
    "window": 20,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "layers": 2,
    "dropout": 0,
}


@pytest.fixture(scope="module")
def rhymer(tmp_path_factory):
    out = tmp_path_factory.mktemp("rhyme") / "rhyme.elman"
    return TextModel(**SMALL, epochs=8).fit(RHYME, out=out, threads=1), out


@pytest.mark.parametrize(
    "changes",
    [
        {"embedding": 0},
        {"unit": "bpe", "vocabulary": 300},
        *(pytest.param(each, marks=pytest.mark.slow) for each in ({}, {"unit": "word"})),
    ],
)
def test_a_new_text_brings_new_symbols(tmp_path, changes):
    old = TextModel(**{**SMALL, **changes, "minimum_count": 1}, epochs=1).fit(
        RHYME, out=tmp_path / "m.elman", threads=1
    )
    model = TextModel.continued(tmp_path / "m.elman", epochs=2)
    assert model.epochs == 2 and model.hidden_size == 24 and model.start == str(tmp_path / "m.elman")
    model.prepare(OTHER)
    size = len(old.symbols)
    assert model.symbols.symbols[:size] == old.symbols.symbols
    assert len(model.symbols) == size if model.unit == "bpe" else {"ö", "!"} <= set(model.symbols.symbols[size:])
    assert UNKNOWN not in model.symbols.encode(OTHER)
    before, after = old.network.state_dict(), model.network.state_dict()
    for name, weight in after.items():
        kept = before[name]
        grown = [axis for axis in range(weight.dim()) if weight.shape[axis] != kept.shape[axis]]
        assert torch.equal(weight.narrow(grown[0], 0, size), kept) if grown else torch.equal(weight, kept)
        if grown:
            new = weight.narrow(grown[0], size, 1)
            torch.testing.assert_close(new, kept.mean(grown[0], keepdim=True))
    # What the old symbols say of each other is as it was.
    numbers = old.symbols.encode(RHYME[:40]).unsqueeze(1)
    with torch.no_grad():
        was, now = old.network(numbers)[0], model.network.eval()(numbers)[0][..., :size]
    torch.testing.assert_close(now, was)


@pytest.mark.slow
def test_it_goes_on_from_a_file_and_resumes_in_the_same_bits(rhymer, tmp_path):
    _, start = rhymer

    class Crash(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if pl_module.standing.step == 12:
                raise ZeroDivisionError

    def fit(name, crash=False, text=OTHER, path=start, **how):
        model = TextModel.continued(path, epochs=2, dropout=0.2, minimum_count=1)
        return model.fit(
            text, out=tmp_path / name, threads=1, save_every=0.0, callbacks=lambda _: [Crash()] if crash else [], **how
        )

    whole = fit("whole.elman")
    assert whole.score(OTHER).bits_per_character < 2.5
    with pytest.raises(ZeroDivisionError):
        fit("m.elman", crash=True)
    other = tmp_path / "other.elman"
    TextModel(**SMALL, epochs=1).fit(RHYME, out=other, threads=1)
    with pytest.raises(DataError, match=r"data was \w+, is \w+; start was"):
        fit("m.elman", path=other, resume=True)
    fit("m.elman", resume=True)
    one, two = load_file(tmp_path / "whole.elman"), load_file(tmp_path / "m.elman")
    assert all(torch.equal(one[name], two[name]) for name in one)
    back = TextModel.load(tmp_path / "m.elman")
    assert back.score(OTHER) == whole.score(OTHER) and back.checked == whole.checked
    with pytest.raises(ArgumentError, match="is read and would be written over"):
        TextModel.continued(start).fit(OTHER, out=start)


def test_a_form_cannot_change(rhymer, tmp_path):
    _, start = rhymer
    with pytest.raises(ArgumentError, match=r"keeps its form \(layers is 2, got 3; unit is 'char', got 'bpe'\)"):
        TextModel.continued(start, layers=3, unit="bpe", hidden_size=24)
    with pytest.raises(ArgumentError, match=r"use TextModel\.continued"):
        TextModel(start=str(start)).prepare(OTHER)
    with pytest.raises(DataError, match="found no file"):
        TextModel.continued(tmp_path / "none.elman")
    save_archive(tmp_path / "c.elman", "classify", {}, {})
    with pytest.raises(DataError, match="job 'text', got one of 'classify'"):
        TextModel.continued(tmp_path / "c.elman")


def test_what_layers_hold(rhymer):
    model, _ = rhymer
    text = RHYME[:700]  # longer than what is read at once
    first, second = model.states(text)
    assert first.shape == second.shape == (700, 24)
    with torch.no_grad():
        y, ends = model.network.stack(model.network.embedding(model.symbols.encode(text).unsqueeze(1)))
    torch.testing.assert_close(second, y.squeeze(1))
    torch.testing.assert_close(first[-1:], ends[0])
    assert [s.shape for s in model.states("a")] == [(1, 24)] * 2
    with pytest.raises(DataError, match="expected text, got none"):
        model.states("")


def log_probability(model, prompt, text):
    """Of a text behind a prompt, when the unknown symbol cannot come."""
    numbers = model.symbols.encode(prompt + text)
    with torch.no_grad():
        chances = decoding.without(model.network(numbers.unsqueeze(1))[0].squeeze(1), UNKNOWN).log_softmax(-1)
    start = len(prompt)
    return sum(float(chances[t - 1, numbers[t]]) for t in range(start, len(numbers)))


def test_a_wide_beam_finds_the_likeliest_text():
    model = TextModel(hidden_size=8, layers=1, embedding=0, window=5, seed=4).prepare("abcabcacb" * 9)
    with torch.no_grad():
        model.network.readout.weight.mul_(6)
    model.network.eval()  # the oracle shall drop nothing either
    best = max(
        ("".join(each) for each in itertools.product("abc", repeat=4)), key=lambda t: log_probability(model, "a", t)
    )
    assert model.search("a", 4, beam=81) == best
    greedy = model.writer(decoding.greedy)
    greedy.read("a")
    assert model.search("a", 9, beam=1) == "".join(greedy.write(9))
    assert model.search("a", 0) == "" and len(model.search("", 5, beam=3)) == 5
    with pytest.raises(ArgumentError, match="beam >= 1, got 0"):
        model.search("a", 5, beam=0)


def test_reading_and_writing_in_turn_is_one_text(rhymer):
    model, _ = rhymer
    writer = model.writer(model.choice(seed=3))
    writer.read("one ")
    writer.read("two")
    parts = "".join(writer.write(5)) + "".join(writer.write(15))
    assert parts == model.sample("one two", 20, seed=3)
    writer.read("; three")
    best = writer.search(4, 2)
    assert best == model.search("one two" + parts + "; three", 4, beam=2)
    writer.reset()
    writer.choice = model.choice(seed=5)
    assert "".join(writer.write(10)) == model.sample("", 10, seed=5)


def test_characters_of_several_pieces_are_written_whole():
    model = TextModel(**SMALL, unit="bpe", vocabulary=256).prepare("日本語" * 60)
    written = list(model.stream("日", 60, temperature=3.0, seed=1))
    assert "".join(written) == model.sample("日", 60, temperature=3.0, seed=1)
    assert model.score("日本語").characters in (8 // 3, 3) and model.score("日本語").units == 8


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["char", "word", "bpe"])
def test_the_n_gram_is_always_there(tmp_path, unit):
    options = {**SMALL, "unit": unit, "epochs": 3, "window": 8, "learning_rate": 2e-2}
    model = TextModel(**options, vocabulary=300).fit(RHYME + OTHER, out=tmp_path / "m.elman", threads=1)
    checked, back = model.kept, TextModel.load(tmp_path / "m.elman")
    assert checked.bits_per_character == pytest.approx(model.history.best.validation, rel=1e-4)
    assert back.kept == checked and back.checked == model.checked and back.score(OTHER) == model.score(OTHER)
    score = model.score(RHYME * 2)
    assert score.interval[0] < score.bits_per_character < score.interval[1] and score.baseline < 1
    assert score.gain == pytest.approx(score.baseline - score.bits_per_character)
    counted = model.ngram.nats(model.symbols.encode(RHYME * 2))[1:].sum() / math.log(2)
    assert score.baseline == pytest.approx(counted / score.characters)


def run(words, **how):
    return CliRunner().invoke(cli.app, ["text", *map(str, words)], **how)


def test_the_command_goes_on(rhymer, tmp_path):
    _, start = rhymer
    (tmp_path / "o.txt").write_text(OTHER, encoding="utf-8")
    fit = ["fit", tmp_path / "o.txt", "--from", start, "--out", tmp_path / "n.elman", "--epochs", 1, "--threads", 1]
    found = run(fit)
    assert found.exit_code == 0 and f"begins with  {start}" in found.stdout.replace("\n", "")
    assert "by an n-gram of order" in found.stdout
    model = TextModel.load(tmp_path / "n.elman")
    assert (model.epochs, model.hidden_size, model.window) == (1, 24, 20)
    refused = run([*fit, "--hidden-size", 99])
    assert isinstance(refused.exception, ArgumentError) and "hidden_size is 24, got 99" in str(refused.exception)
    over = run(["fit", tmp_path / "o.txt", "--from", start, "--out", start])
    assert "would be written over" in str(over.exception)


def test_the_command_scores_and_writes_states(rhymer, tmp_path):
    model, out = rhymer
    (tmp_path / "o.txt").write_text(RHYME, encoding="utf-8")
    found = run(["score", out, tmp_path / "o.txt", "--json", "--states", tmp_path / "s.npz"])
    figures = json.loads(found.stdout)
    assert figures["bits per character"] == model.score(RHYME).bits_per_character
    assert figures["order of the n-gram"] == model.ngram.order
    with np.load(tmp_path / "s.npz") as states:
        assert "".join(states["symbols"]) == RHYME and states["layer2"].shape == (len(RHYME), 24)
    assert "ends in .npz" in str(run(["score", out, tmp_path / "o.txt", "--states", "s.txt"]).exception)


def test_the_command_reads_standard_input(rhymer, tmp_path, monkeypatch):
    _, out = rhymer
    (tmp_path / "o.txt").write_text(RHYME, encoding="utf-8")
    assert run(["score", out, "-"], input=RHYME).stdout == run(["score", out, tmp_path / "o.txt"]).stdout


def test_the_command_searches(rhymer):
    model, out = rhymer
    found = run(["sample", out, "--prompt", "one two", "--length", 12, "--beam", 3])
    assert found.stdout == "one two" + model.search("one two", 12, beam=3) + "\n"
    both = run(["sample", out, "--beam", 3, "--temperature", 0.5, "--top-k", 2])
    assert "leave out --temperature, --top-k" in str(both.exception)


@pytest.mark.slow
def test_the_command_writes_in_turn(rhymer):
    model, out = rhymer
    talk = ["sample", out, "-i", "--length", 20, "--seed", 3, "--temperature", 0.5]
    lines = ["one two", "", "/temperature 0.1", "three", "/reset", "/length 5", "/beam 2", "one", "/quit", "never read"]
    found = run(talk, input="\n".join(lines))
    writer = model.writer(model.choice(0.5, seed=3))
    writer.read("one two")
    expected = ["".join(writer.write(20)), "".join(writer.write(20))]
    ended = expected[-1].endswith("\n")
    writer.choice = model.choice(0.1, seed=3)
    writer.read("three" if ended else "\nthree")
    expected += ["".join(writer.write(20)), model.search("one", 5, beam=2)]
    assert found.exit_code == 0 and found.stdout == "".join(part + "\n" for part in expected)


def test_mistakes_in_turn_are_told_and_nothing_is_lost(rhymer):
    _, out = rhymer
    lines = [
        "/temprature 1",
        "/temperature x",
        "/top-k 999",
        "/beam 0",
        "/reset now",
        "/",
        "/top-p off",
        "//one",
        "/help",
    ]
    found = run(["sample", out, "-i", "--length", 3, "--seed", 1], input="\n".join(lines) + "\n")
    assert found.exit_code == 0 and found.stderr.count("\n") == 6 and "/reset" in found.stdout
    assert "expected a number" in found.stderr and "top_k <= " in found.stderr
    assert found.stdout.splitlines()[0] == TextModel.load(out).sample("/one", 3, 0.8, seed=1).rstrip("\n")


def test_the_second_example_is_source_code():
    text = builtin_text("python")
    assert 500_000 < len(text) <= 1_000_000 and text.count("\ndef ") > 300 and text == builtin_text("python")
    with pytest.raises(ArgumentError, match="manual or python, got 'c'"):
        builtin_text("c")
    assert "one of them" in str(run(["fit", "book.txt", "--example", "python"]).exception)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (3, "int"),
        (["a", 3], "int"),
        (b"abc", "bytes"),
        ([b"abc"], "bytes"),
        ({"text": "a"}, "dict"),
        (iter("ab"), "str_.*iterator"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, data, got):
    with pytest.raises(ArgumentError, match=rf"expected a text \(str\), .* got {got}"):
        TextModel().fit(data, out=tmp_path / "m.elman")


def test_a_text_of_one_character():
    model = TextModel(**SMALL, epochs=1).fit("a" * 600, threads=1)
    assert model.score("aaaa").baseline < 0.2 and model.sample("a", 5, seed=1) == "aaaaa"


def test_what_surprised_it(rhymer, tmp_path):
    model, out = rhymer
    symbols, bits = model.bits(RHYME[:99] + "日")
    assert "".join(symbols) == RHYME[:99] + "\ufffd" and bits.shape == (100,) and bits[0].isnan()
    score = model.score(RHYME[:99] + "日")
    assert float(bits[1:].sum()) == pytest.approx(score.bits_per_character * 99, rel=1e-6)
    (tmp_path / "o.txt").write_text(RHYME[:200] + "日\t\x01\n" + "a" * 100, encoding="utf-8")
    found = run(["score", out, tmp_path / "o.txt", "--picture", tmp_path / "b.png"])
    assert found.exit_code == 0 and (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert "ends in .png" in str(run(["score", out, tmp_path / "o.txt", "--picture", "b.jpg"]).exception)


def test_a_picture_has_a_place_for_every_character():
    cells = list(_laid_out(["a" * 89, "b\n", "\tc"], [1.0, 2.0, 3.0]))
    assert cells[88:] == [(0, 88, "a", 1.0), (0, 89, "b", 2.0), (1, 0, "↵", 2.0), (2, 0, "·", 3.0), (2, 1, "c", 3.0)]


def test_the_command_gives_its_figures_as_json(tmp_path):
    (tmp_path / "o.txt").write_text(RHYME, encoding="utf-8")
    small = ["--hidden-size", 8, "--layers", 1, "--window", 20, "--batch-size", 4, "--epochs", 1, "--threads", 1]
    found = run(["fit", tmp_path / "o.txt", "--out", tmp_path / "m.elman", "--json", *small])
    model = TextModel.load(tmp_path / "m.elman")
    assert json.loads(found.stdout) == model.checked == model.kept.figures("character")

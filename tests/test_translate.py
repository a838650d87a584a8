"""The translate job: a sequence to another one; edits by hand, files, bad input, the command."""

import json
import random

import pytest
import torch
from typer.testing import CliRunner

import elman
from elman import cli
from elman.data import read_table
from elman.errors import ArgumentError, DataError
from elman.tasks import TranslateModel
from elman.tasks.symbols import EOS, UNKNOWN, Symbols
from elman.tasks.translate.score import edit_distance, error_rate, score_translations

SMALL = {"hidden_size": 32, "embedding": 16, "epochs": 14, "learning_rate": 1e-2, "dropout": 0.0, "validation": 0.1}

NO_INPUT, NO_OUTPUT = [{"input": " ", "output": "a"}, {"input": None, "output": "b"}], {"input": "a", "output": ""}


def doubled(count, seed=0):
    """Each letter twice: "abc" to "aabbcc"."""
    draw = random.Random(seed)
    rows = ["".join(draw.choice("abcdefg") for _ in range(draw.randint(1, 5))) for _ in range(count)]
    return [{"input": row, "output": "".join(2 * letter for letter in row)} for row in rows]


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    out = tmp_path_factory.mktemp("doubled") / "doubled.elman"
    return TranslateModel(**SMALL).fit(doubled(500), out=out, threads=1), out


def test_it_learns(writer):
    model, out = writer
    score = model.score(doubled(60, seed=1))
    assert score.wrong < 0.25 < score.baseline == 1 and score.chrf > 90 > 50 > score.baseline_chrf
    assert score.characters < min(0.1, score.words) and score.interval[0] <= score.wrong <= score.interval[1]
    assert model.predict({"input": ["abc", "g"]})["output"].to_list() == ["aabbcc", "gg"]
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "doubled.attention.png",
        "doubled.csv",
        "doubled.elman",
        "doubled.html",
        "doubled.png",
    ]


def test_several_translations_are_in_order(writer):
    model, _ = writer
    found = model.predict({"input": ["abc"]}, n_best=3)
    assert found["output"].to_list()[0][0] == "aabbcc" and len(set(found["output"].to_list()[0])) == 3
    scores = found["log probability"].to_list()[0]
    assert scores == sorted(scores, reverse=True) and scores[0] <= 0
    with pytest.raises(ArgumentError, match="1 <= n_best <= 5, the beam, got 6"):
        model.predict({"input": ["abc"]}, n_best=6)


def test_a_row_does_not_depend_on_its_neighbours(writer):
    model, _ = writer
    alone = model.predict({"input": ["ab"]})
    beside = model.predict({"input": ["ab", "gfedcba" * 3, ""]})
    assert alone["output"][0] == beside["output"][0]
    assert alone["log probability"][0] == pytest.approx(beside["log probability"][0], abs=1e-4)


def test_what_it_looked_at(writer):
    model, _ = writer
    source, written, weights = model.attend("abc")
    assert source == list("abc") and written == [*"aabbcc", "end"] and weights.shape == (7, 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(7))


def test_it_comes_back_from_its_file(writer):
    model, out = writer
    back = elman.load(out)
    assert type(back) is TranslateModel and back.configuration() == model.configuration()
    rows = {"input": [row["input"] for row in doubled(20, seed=3)]}
    assert back.predict(rows).equals(model.predict(rows)) and back.checked == model.checked


@pytest.mark.slow
def test_words_to_words():
    rows = [{"input": f"x {a} y {b}", "output": f"{b} {a}"} for a in "pqrstu" for b in "pqrstu"] * 6
    model = TranslateModel(unit="word", **SMALL).fit(rows, threads=1)
    assert model.predict({"input": ["x p y q"]})["output"][0] == "q p"
    assert len(model.sources) == 3 + 8


@pytest.mark.parametrize("ensemble", [1, 2])
def test_what_is_unknown_is_neither_learned_nor_written(ensemble):
    draw = random.Random(0)
    rare = [f"q{n}" for n in range(60)]  # each in one row, so that none has a symbol of its own
    rows = [{"input": f"{a} {w}", "output": f"{w} {w}"} for w in rare for a in "ab"]
    rows += [{"input": f"{a} {b}", "output": b} for a in "ab" for b in "ab"] * 9
    options = SMALL | {"minimum_count": 9, "epochs": 3, "ensemble": ensemble}
    model = TranslateModel(unit="word", **options).fit(draw.sample(rows, len(rows)), threads=1)
    assert model.targets.symbols[3:] == ("a", "b")
    found = model.predict({"input": ["a q1", "b q2", "x y", ""]}, n_best=5)["output"].to_list()
    assert all("\ufffd" not in text for some in found for text in some) and all(map(len, found))
    batch = next(iter(model._batches(*model._encoded(["a x"], ["b x x a"]), [0], None).starting_at(0)))
    known = [t for t in batch.target.flatten().tolist() if t != UNKNOWN]
    network = model.network.eval()
    loss, one = network.loss(batch, None), getattr(network, "members", [network])[0]
    assert loss.count == loss.size == len(known) == 3
    fed = torch.cat([torch.tensor([[EOS]]), batch.target[:-1]])
    logits, _ = one.model.sequence(fed, one.encode(batch.source, batch.source_lengths), batch.lengths)
    wanted = -sum(logits[t, 0].log_softmax(0)[n] for t, n in enumerate(batch.target[:, 0].tolist()) if n != UNKNOWN)
    torch.testing.assert_close(one.loss(batch, None).total, wanted)


def test_figures_by_hand():
    assert edit_distance("kitten", "sitting") == 3 and edit_distance("", "ab") == 2 == edit_distance("ab", "")
    score = score_translations(["ab", "c d", "ef"], ["ab", "c e", "ef gh i"], ["ab", "x", "y"])
    assert (score.wrong, score.baseline) == (2 / 3, 2 / 3)
    assert score.words == (0 + 1 + 2) / (1 + 2 + 3) and score.characters == (0 + 1 + 5) / (2 + 3 + 7)
    assert error_rate(["abc"], ["a"]) == 2 and error_rate([""], [""]) == 0


def test_symbols():
    symbols = Symbols.learned(["ab a", "a"], "char", 2)
    assert symbols.symbols[3:] == ("a",) and symbols.encode("ab", end=True).tolist() == [3, UNKNOWN, EOS]
    assert symbols.decode([3, 3, EOS, 3]) == "aa"
    words = Symbols.learned(["to be or", "to"], "word", 1)
    assert words.decode(words.encode("or to").tolist()) == "or to"
    assert Symbols.from_json(words.to_json()) == words


@pytest.mark.parametrize(
    ("options", "rows", "error", "said"),
    [
        ({"input": "in"}, doubled(40), DataError, "'in' for what is read: did you mean 'input'"),
        ({"output": "x"}, doubled(40), DataError, "'x' for what is written: there are 'input', 'output'"),
        ({}, [*doubled(40), *NO_INPUT], DataError, "'input', row 40: expected text, got none there and so in 2 of 42"),
        ({"unit": "word"}, [*doubled(40), *NO_INPUT], DataError, "'input', row 40: expected text"),
        ({}, [*doubled(40), NO_OUTPUT], DataError, "'output', row 40: expected text, got none there and so in 1 of 41"),
        ({}, [{"input": "a", "output": f"b{n}"} for n in range(40)], DataError, "'input': expected texts that differ"),
        ({}, [{"input": f"b{n}", "output": "a"} for n in range(40)], DataError, "differ, got 'a' in all rows"),
        ({}, [{"input": "a", "output": ["b"]}] * 40, DataError, "'output': expected single values, got List"),
        ({"example": "date"}, doubled(9), ArgumentError, "expected example to be dates or numbers, got 'date'"),
        ({}, doubled(4), DataError, "too few for a share of 0.1"),
        ({"output_unit": "letter"}, doubled(9), ArgumentError, "unit to be char, word or bpe, got 'letter'"),
        ({"minimum_count": 10**6}, doubled(40), DataError, "'input': expected symbols that occur 1000000 times"),
        ({"input": "output"}, doubled(9), ArgumentError, "another column than what is written, got 'output' for both"),
        ({"smoothing": 1.0}, doubled(9), ArgumentError, "0 <= smoothing < 1"),
    ],
)
def test_what_cannot_be_learned(options, rows, error, said):
    with pytest.raises(error, match=said):
        TranslateModel(**(SMALL | options)).fit(rows, threads=1)


def test_what_cannot_be_read(writer):
    model, out = writer
    with pytest.raises(DataError, match="expected a column 'input' for what is read: did you mean 'inputs'"):
        model.predict({"inputs": ["a"]})
    with pytest.raises(DataError, match="'output', row 0: expected text"):
        model.score([NO_OUTPUT])
    with pytest.raises(DataError, match="expected a model of the job 'classify', got one of 'translate'"):
        elman.tasks.ClassifyModel.load(out)
    with pytest.raises(ArgumentError, match="has not been trained yet"):
        TranslateModel().states({"input": ["a"]})


def test_numbers_in_words():
    from elman.tasks.translate.numbers import LANGUAGES, builtin_numbers

    frame = builtin_numbers()
    assert frame.columns == ["number", "words"] and frame.height == 6000 and frame.equals(builtin_numbers())
    known = dict(frame.iter_rows())
    assert known["en 80"] == "eighty" and known["fr 74"] == "soixante-quatorze" and known["de 70109"].endswith("neun")
    assert {source.split()[0] for source in known} == set(LANGUAGES)


def test_the_examples_name_their_columns():
    model = TranslateModel(example="numbers", **SMALL)
    assert model.prepare_data(None).about == {"rows": 5400, "rows for validation": 600}
    assert (model.input, model.output) == ("number", "words")
    done = CliRunner().invoke(cli.app, ["translate", "fit", "x.csv", "--example", "numbers"])
    assert done.exit_code and "expected a table or --example" in str(done.exception)


def test_the_built_in_example():
    from elman.tasks.translate.dates import builtin_dates

    frame = builtin_dates()
    assert frame.columns == ["date", "iso"] and frame.height > 5000 and frame.equals(builtin_dates())
    assert frame["iso"].str.contains(r"^\d{4}-\d\d-\d\d$").all()


def test_the_command(tmp_path):
    table, out, picture = tmp_path / "doubled.csv", tmp_path / "m.elman", tmp_path / "look.png"
    read_table(doubled(300)).write_csv(table)

    def run(*words):
        done = CliRunner().invoke(cli.app, ["translate", *map(str, words)])
        assert done.exit_code == 0, done.output
        return done.output

    sizes = ["--hidden-size", 16, "--embedding", 8, "--epochs", 3, "--learning-rate", 0.01, "--threads", 1]
    assert "rows with a mistake" in run("fit", table, "--out", out, *sizes)
    assert run("predict", out, "--text", "ab", "--picture", picture).startswith("output,log probability\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(json.loads(run("predict", out, "--text", "ab", "--n-best", 2))["output"]) == 2
    assert 0 <= json.loads(run("score", out, table, "--json"))["rows with a mistake"] <= 1

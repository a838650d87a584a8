"""The tag job: a label for every step; the random field against all sequences, spans by hand."""

import itertools
import json
import random

import polars
import pytest
import torch
from typer.testing import CliRunner

import elman
from elman import cli
from elman.data import Tokens
from elman.errors import ArgumentError, DataError
from elman.tasks import TagModel
from elman.tasks.tag.crf import ConditionalRandomField
from elman.tasks.tag.score import score_tags, span_f1, spans_of
from elman.tasks.tag.tokens import LONGEST, TokenInputs

SMALL = {"hidden_size": 16, "embedding": 8, "epochs": 10, "learning_rate": 1e-2, "dropout": 0.0, "batch_size": 16}
CITIES = ["rome", "oslo", "new york", "san jose", "bern", "cape town", "lima", "quito"]


def commands(count, seed=0, cities=CITIES):
    """Commands with slots: "fly from new york to rome please"."""
    draw, rows = random.Random(seed), []
    for _ in range(count):
        tokens, tags = [draw.choice(["fly", "go", "drive"])], ["O"]
        for word, slot in draw.sample([("from", "from"), ("to", "to")], draw.randint(1, 2)):
            city = draw.choice(cities).split()
            tokens += [word, *city]
            tags += ["O", *[f"{mark}-{slot}" for mark, _ in zip(["B", "I"], city, strict=False)]]
        rows.append({"tokens": tokens, "tags": tags})
    return rows


@pytest.fixture(scope="module", params=[False, True], ids=["each", "together"])
def slots(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("slots") / "slots.elman"
    return TagModel(crf=request.param, **SMALL).fit(commands(200), out=out, threads=1), out


def test_it_learns(slots):
    model, out = slots
    score = model.score(commands(60, seed=1))
    assert score.accuracy > 0.97 > score.baseline and score.span_f1 > 0.95 > score.baseline_f1
    assert model.about["rows"] == 180 and model.checked["span F1"] > 0.9
    said = model.predict({"tokens": [["fly", "to", "new", "york"], []]})
    assert said["tags"].to_list() == [["O", "O", "B-to", "I-to"], []]
    assert model.predict({"tokens": ["fly to new york"]})["tags"].to_list() == [["O", "O", "B-to", "I-to"]]
    assert [tuple(some.shape) for some in model.states({"tokens": [["fly", "home"], []]})] == [(2, 32), (0, 32)]
    back = elman.load(out)
    assert type(back) is TagModel and back.configuration() == model.configuration() and back.checked == model.checked
    rows = {"tokens": [row["tokens"] for row in commands(20, seed=2)]}
    assert back.predict(rows).equals(model.predict(rows))


def test_a_row_does_not_depend_on_its_neighbours(slots):
    model, _ = slots
    rows = [row["tokens"] for row in commands(9, seed=3)]
    alone = [model.predict({"tokens": [row]})["tags"].to_list()[0] for row in rows]
    assert model.predict({"tokens": [*rows, ["go"] * 50]})["tags"].to_list()[:9] == alone


@pytest.mark.slow
def test_new_words_are_known_by_their_spelling():
    """Words that end in "ing" are tagged V: only the spelling tells it of words never seen."""
    draw = random.Random(0)

    def rows(count):
        stems = ["".join(draw.choice("abcdefghklmnoprst") for _ in range(draw.randint(2, 5))) for _ in range(count)]
        ends = [draw.choice(["ing", "or", "el"]) for _ in stems]
        words = [stem + end for stem, end in zip(stems, ends, strict=True)]
        return [{"tokens": [word], "tags": ["V" if word.endswith("ing") else "N"]} for word in words]

    score = TagModel(**(SMALL | {"epochs": 20})).fit(rows(300), threads=1).score(rows(100))
    assert score.unseen > 0.95 > score.baseline


@pytest.mark.slow
def test_without_the_spelling_new_words_are_all_alike():
    train = [{"tokens": [f"w{n}", "x"], "tags": ["A" if n % 2 else "B", "A"]} for n in range(200)]
    model = TagModel(spelled=False, minimum_count=1, **SMALL).fit(train, threads=1)
    first, second = model.predict({"tokens": [["new"], ["other"]]})["tags"].to_list()
    assert first == second and not model.inputs.spelled


def test_the_random_field_is_that_of_all_sequences():
    torch.manual_seed(0)
    field, steps, lengths = ConditionalRandomField(3).double(), 4, torch.tensor([4, 2, 1, 0])
    weights = list(dict.fromkeys(field.parameters()))
    with torch.no_grad():
        for parameter in weights:
            parameter.normal_()
    z = torch.randn(steps, 4, 3, dtype=torch.float64, requires_grad=True)
    tags = torch.randint(0, 3, (steps, 4))
    spoiled = torch.where((torch.arange(steps).unsqueeze(1) < lengths).unsqueeze(2), z, torch.nan)
    loss, best = field.loss(spoiled, tags, lengths), field.best(z, lengths)
    assert loss[3] == 0
    expected = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(lengths.tolist()[:3]):
        every = list(itertools.product(range(3), repeat=length))
        scores = torch.stack([score_of(field, z[:, row], some) for some in every])
        each = torch.logsumexp(scores, 0) - score_of(field, z[:, row], tags[:length, row].tolist())
        torch.testing.assert_close(loss[row], each, rtol=1e-12, atol=1e-12)
        assert tuple(best[:length, row].tolist()) == every[int(scores.argmax())]
        expected = expected + each
    leaves = [z, *weights]
    for one, other in zip(torch.autograd.grad(loss.sum(), leaves), torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    plan = field.layer.plan(z[1:], field.begin + z[0])
    assert plan.backend == ("c" if elman.compiler.find_compiler() else "reference")


def score_of(field, z, tags):
    total = field.begin[tags[0]] + field.end[tags[-1]] + sum(z[t, tag] for t, tag in enumerate(tags))
    return total + sum(field.transitions[a, b] for a, b in itertools.pairwise(tags))


def test_spans():
    assert spans_of(["B-x", "I-x", "O", "I-y", "B-y", "I-x"]) == {(0, 2, "x"), (3, 4, "y"), (4, 5, "y"), (5, 6, "x")}
    assert spans_of(["O", "O"]) == set() == spans_of([])
    assert span_f1([["B-x", "O"]], [["B-x", "I-x"]]) == 0.0
    assert span_f1([["B-x", "O", "B-y"]], [["B-x", "O", "O"]]) == pytest.approx(2 / 3)
    score = score_tags([["a", "b"], ["b"]], [["a", "a"], ["b"]], [["b", "b"], ["b"]], [[False, True], [True]])
    assert (score.accuracy, score.baseline, score.unseen, score.rows) == (2 / 3, 1 / 3, 0.5, 0.5)
    assert score.span_f1 is None


def test_tokens():
    inputs = TokenInputs.learned([["ab", "ab", "c"]], spelled=True, minimum_count=2)
    assert inputs.tokens == ("", "ab")
    (row,) = inputs.encode(Tokens([["ab", "c", "zé"]]))
    assert row.shape == (3, 1 + LONGEST) and row[:, 0].tolist() == [1, 0, 0]
    assert row[:, 1:4].tolist() == [[2, 3, 0], [4, 0, 0], [1, 1, 0]]
    assert TokenInputs.from_json(inputs.to_json()).tokens == inputs.tokens
    assert inputs.encode(Tokens([[]]))[0].shape == (0, 1 + LONGEST)


@pytest.mark.parametrize(
    ("options", "rows", "error", "said"),
    [
        ({"tags": "tag"}, commands(9), DataError, "'tag' for the tags: did you mean 'tags'"),
        ({}, [{"tokens": ["a", "b"], "tags": ["x"]}] * 9, DataError, r"row 0: expected a tag for each of the 2 tokens"),
        ({}, [{"tokens": ["a"], "tags": ["x"]}] * 20, DataError, r"two tags or more, got \['x'\]"),
        ({}, [{"tokens": "", "tags": ""}] * 20, DataError, "expected tokens, got 20 empty rows"),
        ({}, commands(3), DataError, "too few for a share of 0.1"),
        ({"unit": "letter"}, commands(9), ArgumentError, "unit to be word or char"),
        ({"cell": "gru2"}, commands(9), ArgumentError, "expected cell to be one of"),
    ],
)
def test_what_cannot_be_learned(options, rows, error, said):
    with pytest.raises(error, match=said):
        TagModel(**(SMALL | options)).fit(rows, threads=1)


def test_what_cannot_be_read(slots):
    model, out = slots
    with pytest.raises(DataError, match="expected a column 'tokens' for what is read: did you mean 'token'"):
        model.predict({"token": [["fly"]]})
    with pytest.raises(DataError, match="expected a model of the job 'translate', got one of 'tag'"):
        elman.tasks.TranslateModel.load(out)
    with pytest.raises(DataError, match="columns of one length and one kind each"):
        model.predict([{"tokens": ["fly"]}, {"tokens": 3}])
    with pytest.raises(ArgumentError, match="has not been trained yet"):
        TagModel().states({"tokens": [["fly"]]})


def test_the_built_in_example():
    from elman.tasks.tag.hyphens import builtin_hyphens

    frame = builtin_hyphens()
    assert frame.height > 2000 and (frame["word"].str.len_chars() == frame["points"].str.len_chars()).all()
    known = dict(frame.iter_rows())
    assert known["flexible"] == "00011000"  # flex-i-ble


@pytest.mark.slow
def test_the_command(tmp_path):
    table, out = tmp_path / "slots.jsonl", tmp_path / "m.elman"
    polars.DataFrame(commands(120)).write_ndjson(table)

    def run(*words):
        done = CliRunner().invoke(cli.app, ["tag", *map(str, words)])
        assert done.exit_code == 0, done.output
        return done.output

    sizes = ["--hidden-size", 16, "--embedding", 8, "--epochs", 12, "--learning-rate", 0.01, "--threads", 1]
    assert "span F1" in run("fit", table, "--out", out, *sizes)
    assert run("predict", out, "--text", "fly to new york") == "fly to new  york\nO   O  B-to I-to\n"
    assert json.loads(run("predict", out, table).splitlines()[0])["tags"]
    assert json.loads(run("predict", out, "--json", "--text", "fly to rome"))["tokens"] == ["fly", "to", "rome"]
    assert json.loads(run("score", out, table, "--json"))["accuracy"] > 0.95

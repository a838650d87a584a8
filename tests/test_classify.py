"""The classify job: it learns, says, measures, comes back from its file, and refuses what makes no sense."""

import json
import math
import random

import polars
import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

import elman
from elman import cli
from elman.data import read_table
from elman.errors import ArgumentError, DataError
from elman.tasks import ClassifyModel
from elman.tasks.classify.score import score_labels, score_many
from elman.tasks.intervals import wilson

SMALL = {"hidden_size": 16, "embedding": 8, "epochs": 12, "learning_rate": 1e-2, "dropout": 0.0, "batch_size": 16}


def words(count, seed=0):
    """Words of vowels and consonants; the label says whether there is a b, c or d."""
    draw = random.Random(seed)
    rows = ["".join(draw.choice("aeioubcdfgh") for _ in range(draw.randint(1, 9))) for _ in range(count)]
    return [{"word": row, "kind": "has b" if "b" in row else "none"} for row in rows]


def walks(count, seed=0):
    """Random walks in two features that go up or down in the second; and how far."""
    draw, rows = torch.Generator().manual_seed(seed), []
    for number in range(count):
        steps = int(torch.randint(3, 12, (), generator=draw))
        walk = torch.randn(steps, 2, generator=draw) * torch.tensor([100.0, 0.1])
        walk[:, 1] += torch.arange(steps) * (0.2 if number % 2 else -0.2)
        rows.append({"walk": walk.tolist(), "way": "up" if number % 2 else "down", "far": float(walk[-1, 1])})
    return rows


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    out = tmp_path_factory.mktemp("words") / "words.elman"
    return ClassifyModel(input="word", label="kind", **SMALL).fit(words(400), out=out, threads=1), out


def test_it_learns_text(reader):
    model, out = reader
    score = model.score(words(200, seed=1))
    assert score.accuracy > 0.97 > score.baseline and score.interval[0] < score.accuracy < score.interval[1] + 1e-9
    assert score.confusion.sum() == 200 and score.labels == ("has b", "none")
    assert model.checked["accuracy"] > 0.9 and model.about == {"rows": 360, "rows for validation": 40, "labels": 2}
    said = model.predict({"word": ["aba", "eco"]}, every=True)
    assert said["label"].to_list() == ["has b", "none"] and (said["probability"] > 0.6).all()
    torch.testing.assert_close(torch.tensor(said.select("P(has b)", "P(none)").rows()).sum(1), torch.ones(2))
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "words.csv", "words.elman", "words.html", "words.labels.png", "words.png",
    ]  # fmt: skip


def test_a_row_does_not_depend_on_its_neighbours(reader):
    model, _ = reader
    alone = model.predict({"word": ["aba"]}, every=True)
    beside = model.predict({"word": ["aba", "ufo" * 30, ""]}, every=True)
    for one, other in zip(alone.row(0)[1:], beside.row(0)[1:], strict=True):
        assert math.isclose(one, other, rel_tol=1e-5)


def test_what_mattered(reader):
    model, _ = reader
    units, weights, states = model.explain("aeb")
    assert units == ["a", "e", "b"] and states.shape == (3, 32)
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0))
    assert model.explain("aßb").units == ["a", "ß", "b"] and model.explain("").units == []


def test_it_comes_back_from_its_file(reader):
    model, out = reader
    back = elman.load(out)
    assert type(back) is ClassifyModel and back.configuration() == model.configuration()
    rows = {"word": [row["word"] for row in words(20, seed=5)]}
    assert back.predict(rows, every=True).equals(model.predict(rows, every=True))
    assert (back.temperature, back.checked) == (model.temperature, model.checked)
    with safe_open(out, framework="pt") as file:
        assert "readout.weight" in file.keys()  # noqa: SIM118


@pytest.mark.slow
def test_it_learns_vectors(tmp_path):
    path = tmp_path / "walks.jsonl"
    polars.DataFrame(walks(200)).write_ndjson(path)
    model = ClassifyModel(input="walk", label="way", **SMALL).fit(path, threads=1)
    assert model.score(walks(60, seed=1)).accuracy > 0.95
    with pytest.raises(DataError, match="row 0: expected 2 features a step, got 3"):
        model.predict({"walk": [[[1.0, 2.0, 3.0]]]})
    with pytest.raises(DataError, match="expected lists of steps as in training, got text"):
        model.predict({"walk": ["up"]})


@pytest.mark.slow
def test_it_learns_numbers():
    model = ClassifyModel(input="walk", label="far", target="number", **SMALL).fit(walks(300), threads=1)
    score = model.score(walks(80, seed=1))
    assert score.r2 > 0.9 and score.rmse < 0.4 * score.baseline
    assert model.predict(walks(3)).columns == ["number"]


@pytest.mark.slow
def test_it_learns_several_labels(tmp_path):
    rows = [{"word": row["word"], "has": ";".join(c for c in "bc" if c in row["word"])} for row in words(600, seed=2)]
    model = ClassifyModel(input="word", label="has", target="labels", **SMALL).fit(rows, threads=1)
    assert model.score(rows[:200]).accuracy > 0.9
    said = model.predict({"word": ["bic", "a", "ub"]})
    assert said["labels"].to_list() == [["b", "c"], [], ["b"]]


def test_balanced_labels_weigh_alike():
    rows = [{"word": "b", "kind": "rare"}] * 10 + [{"word": "a", "kind": "usual"}] * 90
    model = ClassifyModel(input="word", label="kind", balanced=True, **(SMALL | {"epochs": 1})).fit(rows, threads=1)
    assert model.network.weights.tolist() == pytest.approx([5, 5 / 9])


def test_columns_are_found():
    rows = words(40)
    for names in ({}, {"input": "word"}, {"label": "kind"}):
        model = ClassifyModel(**names, **(SMALL | {"epochs": 1})).fit(rows, threads=1)
        assert (model.input, model.label) == ("word", "kind")
    with pytest.raises(DataError, match="expected to be told which column"):
        ClassifyModel(**SMALL).fit([{"a": "x", "b": "y", "c": "z"}] * 3)


@pytest.mark.parametrize(
    ("options", "rows", "error", "said"),
    [
        ({"label": "kidn"}, words(20), DataError, r"'kidn' for what is learned: did you mean 'kind'\?"),
        ({"input": "wrod"}, words(20), DataError, "did you mean 'word'"),
        ({}, [{"word": "a", "kind": "one"}] * 20, DataError, "2 labels or more, got 'one' in all rows"),
        ({}, [{"word": "", "kind": k} for k in "ab" * 10], DataError, "expected text, got 20 empty rows"),
        ({}, [{"word": "a", "kind": k} for k in ("x", "y", None)], DataError, "got none in row 2"),
        ({"target": "number"}, words(20), DataError, "row 0: expected a number, got '(none|has b)'"),
        (
            {"target": "number"},
            [{"word": "a", "kind": 1}] * 9,
            DataError,
            "numbers that differ, .* standard deviation of 0",
        ),
        ({"input": "x"}, [{"x": [1.0, math.inf], "kind": k} for k in "ab" * 9], DataError, r"row 0, step 1: expected"),
        (
            {"input": "x"},
            [{"x": [[1.0], [2.0, 3.0]], "kind": k} for k in "ab" * 9],
            DataError,
            "row 0: expected a list",
        ),
        ({}, [{"word": "a", "kind": "x"}, {"word": "b", "kind": "y"}], DataError, "too few for a share of 0.1"),
        ({"cell": "gur"}, words(9), ArgumentError, "expected cell to be one of"),
        ({"target": "lable"}, words(9), ArgumentError, "expected target"),
    ],
)
def test_what_cannot_be_learned(options, rows, error, said):
    with pytest.raises(error, match=said):
        ClassifyModel(**({"input": "word", "label": "kind"} | SMALL | options)).fit(rows, threads=1)


def test_what_cannot_be_scored(reader, tmp_path):
    model, out = reader
    with pytest.raises(DataError, match="one of the 2 labels of the training, got 'new'"):
        model.score([{"word": "a", "kind": "new"}])
    with pytest.raises(DataError, match="expected a column 'word' for what is read: did you mean 'words'"):
        model.predict({"words": ["a"]})
    with pytest.raises(DataError, match="columns of one length and one kind each"):
        model.predict([{"word": "a"}, {"word": ["b"]}])
    with pytest.raises(ArgumentError, match="has not been trained yet"):
        ClassifyModel().predict({"word": ["a"]})
    with pytest.raises(DataError, match="expected a model of the job 'text', got one of 'classify'"):
        elman.tasks.TextModel.load(out)


@pytest.mark.slow
def test_a_stopped_training_goes_on_as_if_it_had_not(tmp_path):
    options = {"input": "word", "label": "kind", **SMALL, "epochs": 4, "dropout": 0.2}
    whole = ClassifyModel(**options).fit(words(120), threads=1)

    def stop_in(epoch):
        from lightning.pytorch import Callback

        class Stop(Callback):
            def on_train_batch_end(self, trainer, learner, *_):
                learner.stop_asked = learner.stop_asked or (learner.standing.epoch == epoch)

        return lambda model: [Stop()]

    out = tmp_path / "m.elman"
    with pytest.raises(KeyboardInterrupt):
        ClassifyModel(**options).fit(words(120), out=out, threads=1, callbacks=stop_in(2))
    on = ClassifyModel(**options).fit(words(120), out=out, threads=1, resume=True)
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, on.network.state_dict()[name]), name
    assert on.temperature == whole.temperature


def test_figures_by_hand():
    p = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    score = score_labels(p, torch.tensor([0, 1, 1, 0]), ("a", "b"))
    assert (score.accuracy, score.baseline) == (0.75, 0.5) and score.confusion.tolist() == [[2, 0], [1, 1]]
    assert score.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert score.loss == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.7)) / 4)
    assert score.calibration == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)  # Agresti and Coull's example
    many = score_many(torch.tensor([[0.9, 0.2], [0.4, 0.7]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]]), ("a", "b"))
    assert many.accuracy == 0.5 and many.confusion.tolist() == [[[0, 0], [1, 1]], [[1, 0], [0, 1]]]


def test_the_built_in_example():
    from elman.tasks.classify.terms import builtin_terms

    frame = builtin_terms()
    assert frame.columns == ["term", "language"] and frame.height > 10_000
    assert frame["term"].is_unique().all() and frame["language"].n_unique() == 20


def run(*words):
    return CliRunner().invoke(cli.app, ["classify", *map(str, words)])


@pytest.mark.slow
def test_the_command(tmp_path):
    table, out = tmp_path / "words.csv", tmp_path / "m.elman"
    read_table(words(300)).write_csv(table)
    done = run("fit", table, "--out", out, "--hidden-size", 16, "--epochs", 8, "--learning-rate", 0.01, "--threads", 1)
    assert done.exit_code == 0 and "accuracy" in done.output and "one of 2: has b, none" in done.output
    assert run("predict", out, "--text", "aba").output.splitlines()[1].startswith("has b,")
    assert json.loads(run("predict", out, table, "--json").output.splitlines()[0]).keys() == {"label", "probability"}
    assert "b:" in run("predict", out, "--text", "aba", "--explain").output
    assert json.loads(run("score", out, table, "--json").output)["accuracy"] > 0.9
    assert "accuracy" in run("score", out, table).output


def test_a_tag_that_occurs_once_may_stand_in_any_row():
    for seed in range(4):
        model = ClassifyModel(target="labels", seed=seed, **(SMALL | {"epochs": 1}))
        model.fit({"text": ["a", "b"] * 30 + ["c"], "label": ["u", "v"] * 30 + ["w"]}, threads=1)
        assert model.labels == ("u", "v", "w")


def test_fields_stay_as_they_are_written(tmp_path):
    table = tmp_path / "codes.csv"
    table.write_text("text,label\n" + "036890,007\n1.50,7\n" * 30)
    model = ClassifyModel(**SMALL).fit(table, threads=1)
    assert model.labels == ("007", "7") and "0" in model.inputs.symbols.symbols
    assert model.predict({"text": ["036890", "1.50"]})["label"].to_list() == ["007", "7"]


@pytest.mark.slow
def test_numbers_far_from_zero():
    rows = [{"text": "a" * (1 + n % 5), "label": 1.7e9 + 20 * (n % 5)} for n in range(200)]
    model = ClassifyModel(target="number", **(SMALL | {"epochs": 20})).fit(rows, threads=1)
    assert model.score(rows).r2 > 0.9
    assert model.predict({"text": ["a", "aaaaa"]})["number"].to_list() == pytest.approx([1.7e9, 1.7e9 + 80], abs=25)
    with pytest.raises(DataError, match=r"standard deviation of (inf|nan)"):
        ClassifyModel(target="number", **SMALL).fit([{"text": "a", "label": 1e200 * n} for n in range(50)], threads=1)


def test_vectors_far_from_zero_and_empty_rows():
    x = [[[1.7e9 + n % 2]] * 3 for n in range(60)]
    x[0], x[7] = [], None
    model = ClassifyModel(validation=0, **SMALL).fit({"x": x, "label": ["a", "b"] * 30}, threads=1)
    assert model.inputs.scale[0] == pytest.approx(0.5, rel=0.01)
    assert model.score({"x": x[8:], "label": ["a", "b"] * 26}).accuracy == 1
    with pytest.raises(DataError, match="row 40, step 0: expected numbers"):
        ClassifyModel(**SMALL).fit({"x": [[1.0]] * 40 + [[math.nan]] * 20, "label": ["a", "b"] * 30}, threads=1)
    with pytest.raises(DataError, match="got 20 empty rows"):
        ClassifyModel(**SMALL).fit({"x": [[]] * 20, "label": ["a", "b"] * 10}, threads=1)


def test_labels_may_have_any_name(tmp_path):
    rows = {"text": ["a", "b"] * 30, "label": ["probability", "label"] * 30}
    model = ClassifyModel(**(SMALL | {"epochs": 5})).fit(rows, threads=1)
    found = model.predict({"text": ["a"]}, every=True)
    assert found["label"][0] == "probability" and found["P(probability)"][0] == found["probability"][0]
    with pytest.raises(DataError, match="single values, got List"):
        ClassifyModel(**SMALL).fit([{"text": "a", "label": ["x", "y"]}] * 20, threads=1)


def test_a_model_is_finished_before_its_side_file_goes(tmp_path, monkeypatch):
    from elman.training.sidefile import SideFile

    out, seen = tmp_path / "m.elman", []
    real = SideFile.remove_checkpoint

    def remove(self, path):
        if out.exists():
            seen.append(ClassifyModel.load(out).temperature)
        real(self, path)

    monkeypatch.setattr(SideFile, "remove_checkpoint", remove)
    model = ClassifyModel(input="word", label="kind", **(SMALL | {"epochs": 3})).fit(words(120), out=out, threads=1)
    assert seen and set(seen) == {model.temperature} and model.temperature != 1


@pytest.mark.slow
def test_pieces_of_words(tmp_path):
    rows = [{"text": f"{a} likes {b}", "label": a} for a in ("hund", "katze") for b in ("baum", "haus", "fisch")] * 9
    model = ClassifyModel(unit="bpe", vocabulary=300, hidden_size=8, embedding=8, epochs=8, batch_size=4)
    model.fit(rows, out=tmp_path / "m.elman", threads=1)
    back = elman.load(tmp_path / "m.elman")
    assert back.explain("katze likes fisch").units[-2:] == [" likes", " fisch"]
    assert back.predict([{"text": "hund likes baum"}])["label"].to_list() == ["hund"]
    assert back.explain("⛵ katze").units, "nothing is unknown"


def test_words_speak_for_themselves():
    """Their part of the logits is 5 / sqrt of the words times the sum of their vectors, without what is padded."""
    rows = [{"text": f"{word} {'and so on ' * (at % 4)}", "label": word} for at, word in enumerate(["up", "down"] * 40)]
    model = ClassifyModel(unit="word", hidden_size=4, embedding=4, epochs=1).fit(rows)
    network = model.network.eval()
    assert network.words.weight.abs().max() > 0
    x = torch.tensor([[2, 3], [4, 1], [5, 0]])  # [T, B]
    lengths = torch.tensor([3, 2])
    with torch.no_grad():
        whole = network(x, lengths)
        vectors = network.words.weight.double()
        network.words = None
        without = network(x, lengths)
    wanted = torch.stack([vectors[[2, 4, 5]].sum(0) * 5 / 3**0.5, vectors[[3, 1]].sum(0) * 5 / 2**0.5])
    torch.testing.assert_close((whole - without).double(), wanted, rtol=1e-4, atol=1e-5)
    letters = ClassifyModel(hidden_size=4, embedding=4, epochs=1).fit(rows)
    assert letters.network.words is None

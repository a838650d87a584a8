"""The describe job: a vector, attributes or an image to a sentence; what it learns, files, bad input, the command."""

import itertools
import json
import random

import polars as pl
import pytest
import torch
from typer.testing import CliRunner

import elman
from elman import cli
from elman.errors import ArgumentError, DataError
from elman.tasks import DescribeModel, TranslateModel
from elman.tasks.describe.colours import builtin_colours

SMALL = {"hidden_size": 32, "embedding": 16, "epochs": 12, "learning_rate": 1e-2, "dropout": 0.0, "validation": 0.1}
NAMES = ["".join(pair) for pair in itertools.product(("red ", "blue ", "old ", "wild "), ("fox", "owl", "elk", "bee"))]


def places(count, seed=0):
    """Attributes of places, and sentences that say them: names and food as they are, kids in other words."""
    draw, rows = random.Random(seed), []
    for _ in range(count):
        row = {"name": draw.choice(NAMES), "food": draw.choice(["thai", "wok", "fish"]), "kids": draw.choice("yn")}
        if draw.random() < 0.3:
            del row["food"]
        serves = f" serves {row['food']} and" if "food" in row else ""
        rows.append({"a": row, "said": f"the {row['name']}{serves} {'allows' if row['kids'] == 'y' else 'bans'} kids"})
    return rows


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    out = tmp_path_factory.mktemp("places") / "places.elman"
    return DescribeModel(input="a", output="said", **SMALL).fit(places(200), out=out, threads=1), out


def test_it_says_what_it_has_never_seen(guide):
    model, out = guide
    found = model.predict([{"a": {"name": "green dragon", "food": "haggis", "kids": "n"}}, {"a": {"name": "Zoë's"}}])
    assert found["output"][0] == "the green dragon serves haggis and bans kids"
    assert found["output"][1].startswith("the Zoë's ")
    assert sorted(p.name for p in out.parent.iterdir()) == ["places.csv", "places.elman", "places.html", "places.png"]


def test_its_figures_stand_beside_simple_ones(guide):
    model, _ = guide
    score = model.score(places(60, seed=1))
    assert score.rows == 60 > score.inputs > 10
    assert score.network.exact > 0.9 > score.frequent.exact
    assert score.network.slots.rate == 0 == score.given.rate and score.given.slots > 60
    assert score.network.bleu > 95 and score.network.bleu > score.frequent.bleu
    assert model.checked["exact"] > 0.9 and "nearest row: slot errors" in model.checked
    assert {"exact", "BLEU", "chrF"} <= score.figures().keys() and score.words > 4
    short = model.score([{"a": {"name": "red fox"}, "said": "x y"}])
    assert "BLEU" not in short.figures() and short.words == 2


def test_the_nearest_row_lends_its_sentence(guide):
    model, _ = guide
    score = model.score([{"a": {"name": "green dragon", "food": "haggis", "kids": "y"}, "said": "x y"}])
    assert score.nearest.slots.count == 0 and score.inputs == 1


@pytest.mark.slow
def test_a_price_is_said_as_the_table_writes_it(tmp_path):
    table, out = tmp_path / "prices.csv", tmp_path / "m.elman"
    prices = [f"{euros}.{cents}" for euros in range(2, 14) for cents in ("50", "05", "90")]
    table.write_text("price,kind,said\n" + "".join(f"{p},{k},the {k} costs {p} euros\n" for p in prices for k in "ab"))
    model = DescribeModel(output="said", **SMALL).fit(table, out=out, threads=1)
    assert "price: a number, said" in map(str, model.inputs.parts) and len(model.symbols) < 12
    table.write_text("price,kind\n33.30,a\n7.00,b\n")
    found = elman.load(out).predict(table)["output"].to_list()
    assert found == ["the a costs 33.30 euros", "the b costs 7.00 euros"]
    assert model.predict([{"price": 33.5, "kind": "a"}])["output"].to_list() == ["the a costs 33.5 euros"]


def test_all_sentences_of_an_input_are_right(guide):
    model, _ = guide
    row = {"name": "red fox", "kids": "y"}
    rows = [{"a": row, "said": "never said"}, {"a": row, "said": "the red fox allows kids"}]
    score = model.score(rows)
    assert (score.rows, score.inputs, score.network.exact) == (2, 1, 1.0)
    assert score.network.bleu == pytest.approx(100)


def test_slot_errors_cost_a_sentence_of_the_beam(guide):
    model, _ = guide
    said = model.inputs.said({"name": [["red fox"]], "food": [["wok"]], "kids": [["y"]]}, 0)
    texts = ["the red fox allows kids", "the red fox serves wok", "the red fox serves wok serves wok"]
    assert model._order(texts, [-1.0, -2.0, -1.5], said) == [1, 0, 2]
    assert model._order(texts, [-1.0, -20.0, -14.0], said) == [0, 2, 1]
    assert model._order(texts, [-1.0, -2.0, -1.5], []) == [0, 2, 1]


def test_several_sentences_and_drawn_ones(guide):
    model, _ = guide
    rows = [{"a": {"name": "red fox", "food": "wok", "kids": "y"}}, {"a": {"name": "owl", "kids": "n"}}]
    best = model.predict(rows, n_best=3)
    assert [len(set(some)) for some in best["output"].to_list()] == [3, 3]
    assert all(score <= 0 for some in best["log probability"].to_list() for score in some)
    one, again, other = (model.predict(rows, n_best=4, temperature=3.0, seed=seed) for seed in (1, 1, 2))
    assert one.equals(again) and not one.equals(other)
    cold = model.predict(rows, temperature=0.01)
    assert cold["output"].to_list() == model.predict(rows)["output"].to_list()
    for options in ({"n_best": 11}, {"n_best": 0}, {"temperature": 0.0}, {"temperature": 1.0, "n_best": 0}):
        with pytest.raises(ArgumentError):
            model.predict(rows, **options)


def test_a_row_does_not_depend_on_its_neighbours(guide):
    model, _ = guide
    rows = [row | {"said": None} for row in places(9, seed=2)]
    together, alone = model.predict(rows), [model.predict([row]) for row in rows]
    assert together["output"].to_list() == [each["output"][0] for each in alone]
    assert together["log probability"].to_list() == pytest.approx([e["log probability"][0] for e in alone], abs=1e-4)


def test_the_states_behind_each_sentence(guide):
    model, _ = guide
    rows = [{"a": {"name": "red fox", "food": "wok", "kids": "y"}}, {"a": {"name": "owl", "kids": "n"}}]
    first, second = model.states(rows)
    assert first.shape == (8, 32) and second.shape == (5, 32)  # a slot is one step, and so is the end
    torch.testing.assert_close(model.states(rows[1:])[0], second)


def test_it_comes_back_from_its_file(guide):
    model, out = guide
    back = elman.load(out)
    assert type(back) is DescribeModel and back.configuration() == model.configuration()
    rows = places(20, seed=3)
    assert back.predict(rows).equals(model.predict(rows)) and back.checked == model.checked
    assert back.score(rows).figures() == model.score(rows).figures()
    with pytest.raises(DataError, match="expected a model of the job 'translate', got one of 'describe'"):
        TranslateModel.load(out)


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["every", "first", "state"])
def test_numbers_to_characters_whatever_the_feed(feed):
    words = {(False, False): "low", (False, True): "left", (True, False): "high", (True, True): "here"}
    rows = [{"x": x, "y": y, "output": words[x > 0, y > 0]} for x in (-3, -2, -1, 1, 2, 3) for y in range(-30, 31, 7)]
    model = DescribeModel(unit="char", feed=feed, **SMALL | {"epochs": 20, "batch_size": 8}).fit(rows, threads=1)
    said = model.predict({"x": [-2.5, -2.5, 2.5, 2.5], "y": [-15, 15, -15, 15]})["output"].to_list()
    assert said == ["low", "left", "high", "here"]


@pytest.mark.slow
def test_images(tmp_path):
    draw = torch.Generator().manual_seed(0)
    rows = []
    for number in range(160):
        image = 0.3 * torch.rand(4, 4, generator=draw)
        image[number % 4 if number % 2 else slice(None), slice(None) if number % 2 else number % 4] += 1
        rows.append({"image": image.tolist(), "output": "a row" if number % 2 else "a column"})
    out = tmp_path / "m.elman"
    model = DescribeModel(**SMALL).fit(rows[:120], out=out, threads=1)
    assert model.score(rows[120:]).network.exact == 1
    assert (tmp_path / "m.said.png").is_file()
    with pytest.raises(DataError, match=r"rows of numbers \[4, 4\] as in training, got \[2, 2\]"):
        model.predict({"image": [[[1, 2], [3, 4]]]})


@pytest.mark.slow
def test_numbers_that_are_said_are_put_back():
    rows = [{"t": t, "output": f"it is {t} degrees and {'cold' if t < 10 else 'warm'}"} for t in range(-20, 40)] * 2
    model = DescribeModel(**SMALL | {"epochs": 30}).fit(rows, threads=1)
    assert model.predict({"t": [-35.0, 55.5]})["output"].to_list() == [
        "it is -35 degrees and cold", "it is 55.5 degrees and warm"
    ]  # fmt: skip
    plain = DescribeModel(slots=False, **SMALL | {"epochs": 1}).fit(rows, threads=1)
    assert plain.inputs.slots == () and len(plain.symbols) > 60 > len(model.symbols)


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on(tmp_path):
    def stop_in(epoch):
        from lightning.pytorch import Callback

        class Stop(Callback):
            def on_train_epoch_end(self, trainer, learner):
                if learner.standing.epoch == epoch:
                    learner.stop_asked = True

        return lambda model: [Stop()]

    options = {"input": "a", "output": "said", **SMALL, "epochs": 4, "dropout": 0.2}
    whole = DescribeModel(**options).fit(places(60), out=tmp_path / "a.elman", threads=1)
    with pytest.raises(KeyboardInterrupt):
        DescribeModel(**options).fit(places(60), out=tmp_path / "b.elman", threads=1, callbacks=stop_in(2))
    resumed = DescribeModel(**options).fit(places(60), out=tmp_path / "b.elman", threads=1, resume=True)
    for one, other in zip(whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert resumed.known == whole.known and resumed.checked == whole.checked


NUMBERS = [{"r": n, "output": f"w{n % 3}"} for n in range(40)]


@pytest.mark.parametrize(
    ("options", "rows", "error", "said"),
    [
        ({"output": "outputs"}, NUMBERS, DataError, "'outputs' for what is written: did you mean 'output'"),
        ({"input": ["R"]}, NUMBERS, DataError, "'R' for what is read: did you mean 'r'"),
        ({}, [*NUMBERS, {"r": 1, "output": " "}], DataError, "'output', row 40: expected a sentence, got an empty"),
        ({}, [*NUMBERS, {"r": 1e400, "output": "x"}], DataError, "'r', row 40: expected finite numbers, got inf"),
        ({}, [{"r": str(n), "output": "x"} for n in [*range(30), "k"]], DataError, "row 30: expected a number as in"),
        ({}, [{"r": 1, "output": f"w{n}"} for n in range(9)], DataError, "two different inputs or more, got 9 rows"),
        ({}, [{"r": n, "output": "w"} for n in range(9)], DataError, "two different sentences in the column 'output'"),
        ({}, [{"r": None, "output": "w"}] * 9, DataError, "expected something to describe|without any"),
        ({}, NUMBERS[:3], DataError, "too few for a share of 0.1"),
        ({}, [*NUMBERS, {"r": 1, "output": chr(0xF0000)}], DataError, "row 40: expected no characters of private"),
        ({"minimum_count": 40}, NUMBERS, DataError, "'output': expected symbols that occur 40 times or more, got none"),
        ({"unit": "letter"}, NUMBERS, ArgumentError, "unit to be one of char, word, bpe, got 'letter'"),
        ({"feed": "last"}, NUMBERS, ArgumentError, "feed to be one of every, first, state, got 'last'"),
        ({"input": "r", "output": "r"}, NUMBERS, ArgumentError, "without what is written, got 'r' in both"),
        ({"slot_weight": -1.0}, NUMBERS, ArgumentError, "slot_weight >= 0, got -1"),
        ({"cell": "jordan"}, NUMBERS, ArgumentError, "cell to be one of"),
    ],
)
def test_what_cannot_be_learned(options, rows, error, said):
    with pytest.raises(error, match=said):
        DescribeModel(**(SMALL | options)).fit(rows, threads=1)


def test_what_could_not_be_learned_leaves_nothing_behind():
    model = DescribeModel(**SMALL | {"epochs": 1, "minimum_count": 3})
    with pytest.raises(DataError, match="3 times or more"):
        model.fit([{"x": n % 2, "output": f"w{n}"} for n in range(20)], threads=1)
    assert model.fit(NUMBERS, threads=1).input == ("r",)


def test_what_cannot_be_described(guide):
    model, _ = guide
    for rows, said in (
        ([{"b": {"name": "x"}}], "'a' for what is read"),
        ([{"a": {"nam": "x"}}], "'nam': did you mean 'name'"),
        ([{"a": {"name": None}}], "without any|expected something to describe"),
    ):
        with pytest.raises(DataError, match=said):
            model.predict(rows)
    with pytest.raises(ArgumentError, match="has not been trained yet"):
        DescribeModel().predict(NUMBERS)


def test_inputs_are_held_out_whole_where_there_are_enough():
    for count, apart in ((20, True), (2, False)):
        rows = [{"x": n, "output": f"w{m}"} for n in range(count) for m in range(10)]
        model = DescribeModel(**SMALL | {"epochs": 1}).fit(rows, threads=1)
        assert model.checked["rows"] == 10 * count * SMALL["validation"]
        assert (model.checked["different inputs"] == count / 10) is apart


def test_numbers_that_are_names():
    rows = [{"kind": 100 * n, "output": "abcde"[n]} for n in range(5)] * 8
    model = DescribeModel(attributes=["kind"], **SMALL | {"validation": 0.0}).fit(rows, threads=1)
    assert model.inputs.parts[0].categories == ("0", "100", "200", "300", "400")
    assert model.predict({"kind": [300, 0]})["output"].to_list() == ["d", "a"]
    assert model.checked == {}


def test_the_built_in_example():
    frame = builtin_colours()
    assert frame.height == 949 and frame.columns == ["r", "g", "b", "name"] and frame.equals(builtin_colours())
    assert frame.filter(pl.col("name") == "cloudy blue").row(0) == (0xAC, 0xC2, 0xD9, "cloudy blue")


def test_the_command(tmp_path):
    table, out = tmp_path / "places.jsonl", tmp_path / "m.elman"
    table.write_text("".join(json.dumps(row) + "\n" for row in places(120)))

    def run(*words, code=0):
        done = CliRunner().invoke(cli.app, ["describe", *map(str, words)])
        assert done.exit_code == code or (code and done.exception), done.output
        return done.output

    sizes = ["--hidden-size", 32, "--embedding", 16, "--epochs", 2, "--learning-rate", 0.01, "--threads", 1]
    said = run("fit", table, "--out", out, "--input", "a", "--output", "said", *sizes)
    assert "name: a slot for any value, 16 known" in said and "BLEU" in said
    table.with_suffix(".csv").write_text("r,g,said\n" + "".join(f"{n},{n % 7},{n % 3} it is\n" for n in range(40)))
    for given in (["--input", "r", "--input", "g"], ["--input", "r,g"]):
        run(
            "fit",
            table.with_suffix(".csv"),
            "--out",
            tmp_path / "c.elman",
            "--output",
            "said",
            "--fresh",
            *given,
            *sizes,
        )
        assert DescribeModel.load(tmp_path / "c.elman").input == ("r", "g")
    row = json.dumps({"a": {"name": "green dragon", "kids": "y"}})
    assert run("predict", out, "--row", row).startswith("output,log probability\n")
    assert len(json.loads(run("predict", out, "--row", row, "--n-best", 2))["output"]) == 2
    assert "output" in json.loads(run("predict", out, "--row", row, "--temperature", 1.0, "--json"))
    assert json.loads(run("score", out, table, "--json"))["rows"] == 120
    run("predict", out, "--row", "{", code=1)
    run("predict", out, code=1)
    assert "--slot-weight" in run("fit", "--help") and "--slot-weight" in run("tune", "--help")

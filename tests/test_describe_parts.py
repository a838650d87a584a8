"""The parts of the describe job: what is read of a table, slots, the network, the score; by hand and in NumPy."""

import re
import warnings

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman.errors import DataError
from elman.tasks.describe.columns import key_of, read_columns, read_rows, written
from elman.tasks.describe.inputs import Attribute, Inputs, Numbers
from elman.tasks.describe.network import FEEDS, Batch, DescribeNetwork
from elman.tasks.describe.picture import draw_said, patches
from elman.tasks.describe.score import score_descriptions
from elman.tasks.describe.slots import (
    SlotErrors,
    delexicalised,
    filled,
    known_in,
    lexicalised,
    places_of,
    slot_character,
    slot_errors,
    telling_values,
)
from elman.tasks.symbols import EOS, PAD, UNKNOWN

A, B, C = map(slot_character, range(3))


def read(rows, *names, attributes=()):
    return read_columns(read_rows(rows), names, attributes)


def test_values_become_slots_and_come_back():
    said = [(A, "red lion"), (B, "red"), (C, "5")]
    assert delexicalised("the red lion's red door, 5 or 55", said) == f"the {A}'s {B} door, {C} or 55"
    assert lexicalised(f"{A}, {B} {C}", said) == "red lion, red 5"
    assert filled(f"{A} {B} {C}", [(A, "x"), (B, "y")], [(A, "z")]) == "z y "


def test_equal_values_take_turns():
    said = [(A, "soma"), (B, "soma")]
    assert delexicalised("soma near soma, soma", said) == f"{A} near {B}, {B}"


@given(st.text("ab .", max_size=12), st.lists(st.text("ab", min_size=1, max_size=3), max_size=3))
def test_what_is_delexicalised_is_lexicalised_again(text, values):
    said = [(slot_character(number), value) for number, value in enumerate(values)]
    assert lexicalised(delexicalised(text, said), said) == text


@given(st.text("ab1 -", max_size=14), st.text("ab1", min_size=1, max_size=2))
def test_places_are_those_of_whole_words(text, value):
    assert list(places_of(value, text)) == [m.start() for m in re.finditer(rf"(?<!\w){value}(?!\w)", text)]


def test_slot_errors_by_hand():
    said = [(A, "blue door"), (B, "thai"), (C, "7")]
    telling = {"red lion", "thai", "sushi bar"}
    text = "blue door and blue door : a red lion with sushi bar 7"
    assert slot_errors(text, said, telling) == SlotErrors(slots=3, missing=1, repeated=1, wrong=2)
    assert slot_errors(text, said, telling).rate == pytest.approx(4 / 3)
    assert SlotErrors(2, 1, 0, 0) + SlotErrors(1, 0, 2, 1) == SlotErrors(3, 1, 2, 1)
    assert SlotErrors().rate == 0


def test_values_that_tell_and_those_that_everybody_says():
    assert list(known_in("a red lion, red", {"red", "red lion", "a"})) == ["a", "red lion", "red"]
    rows = [("the fox is a place", [(A, "fox")]), ("the owl is a place", [(A, "owl"), (B, "place")])]
    assert telling_values({"fox", "owl", "place"}, rows) == {"fox", "owl"}


def test_columns_of_every_kind():
    frame = pl.DataFrame(
        {
            "n": [1, 2, None],
            "v": [[1.0, 2.0]] * 3,
            "i": [[[0, 1], [2, 3]]] * 3,
            "t": ["a", "", None],
            "l": [["x", "y"], [], ["z"]],
            "b": [True, False, True],
            "s": [{"p": "q", "r": 4}, {"p": None, "r": 5}, {"p": "u", "r": 6}],
        }
    )
    found = read(frame, *frame.columns)
    assert list(found) == ["n", "v", "i", "t", "l", "b", "p", "r"]
    assert {name: tuple(each.shape) for name, each in found.items() if isinstance(each, torch.Tensor)} == {
        "n": (3,), "v": (3, 2), "i": (3, 2, 2), "r": (3,)
    }  # fmt: skip
    assert found["n"].isnan().tolist() == [False, False, True]
    assert (found["t"], found["l"]) == ([["a"], [], []], [["x", "y"], [], ["z"]])
    assert (found["b"], found["p"]) == ([["true"], ["false"], ["true"]], [["q"], [], ["u"]])
    assert read(frame[:2], "n", attributes=["n"])["n"] == [["1"], ["2"]]
    assert key_of(found, 0) != key_of(found, 1) and key_of(found, 0) == key_of(read(frame, *frame.columns), 0)
    assert (written(25.0), written(0.5)) == ("25", "0.5")


def test_an_attribute_may_be_a_value_here_and_a_list_there(tmp_path):
    rows = [{"a": {"food": "thai"}}, {"a": {"food": ["thai", "sushi, raw"], "n": "x"}}]
    wanted = {"food": [["thai"], ["thai", "sushi, raw"]], "n": [[], ["x"]]}
    assert read(rows, "a") == wanted
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": {"food": "thai"}}\n{"a": {"food": ["thai", "sushi, raw"], "n": "x"}}\n')
    assert read_columns(read_rows(file), ["a"], ()) == wanted


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"x": [1.0, float("inf")]}, "'x', row 1: expected finite numbers, got inf"),
        ({"x": [[1.0], [float("nan")]]}, "'x', row 1: expected finite numbers"),
        ({"x": [[1, 2], [3]]}, "'x', row 1: expected numbers \\[2\\] as in row 0, got \\[1\\]"),
        ({"x": [[1, 2], None]}, "'x', row 1: expected a vector"),
        ({"x": [[[1, 2], [3]], [[1, 2], [3, 4]]]}, "'x', row 0: expected a vector, or an image"),
        ({"x": [*map(str, range(19)), "abc"]}, "'x', row 19: expected a number as in nearly all rows, got 'abc'"),
        ({"x": ["a", " "]}, "row 1: expected something to describe, got nothing in 'x'"),
        ({"x": [b"a", b"b"]}, "'x': expected numbers or values, got Binary"),
        ({"x": [[{"a": 1}]]}, "'x': expected numbers, lists of them, or values"),
        ({"x": [{"y": "a"}], "y": ["b"]}, "each name once among what is read, got 'y' twice"),
        ({"X ": [1]}, "a column 'x' for what is read: did you mean 'X '"),
    ],
)
def test_columns_that_cannot_be_read(column, said):
    names = ["x", "y"] if "y" in column else ["x"]
    with pytest.raises(DataError, match=said):
        read(column, *names)


def test_numbers_are_brought_to_mean_0_and_variance_1():
    rows = torch.tensor([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]], dtype=torch.float64)
    part = Numbers.learned("v", rows, [""] * 3, slots=True)
    wanted = (rows.numpy() - rows.numpy().mean(0)) / [rows[:, 0].numpy().std(), 1]
    np.testing.assert_allclose(part.encode(rows), wanted, atol=1e-6)
    image = torch.rand(5, 2, 3, dtype=torch.float64)
    part = Numbers.learned("i", image, [""] * 5, slots=True)
    np.testing.assert_allclose(
        part.encode(image), ((image - image.mean()) / image.std(correction=0)).reshape(5, 6), atol=1e-6
    )


def test_numbers_of_a_table_of_text_know_how_they_are_written(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("price,code,kind,said\n12.50,007,a1,it is 12.50\n ,008,2,none\n1e3,009,3,it is 1e3\n")
    found = read(file, "price", "code", "kind", attributes=["code"])
    assert (found["price"], found["code"]) == ([["12.50"], [], ["1e3"]], [["007"], ["008"], ["009"]])
    some = Inputs.learned(found, range(3), ["it is 12.50", "none", "it is 1e3"], slots=True)
    price, code, kind = some.parts
    assert isinstance(price, Numbers) and isinstance(code, Attribute) and isinstance(kind, Attribute) and price.spoken
    plain = Numbers.learned("price", torch.tensor([12.5, np.nan, 1000.0], dtype=torch.float64), [""] * 3, slots=True)
    assert (price.mean, price.scale, price.gaps) == (plain.mean, plain.scale, plain.gaps)
    torch.testing.assert_close(price.encode(found["price"]), plain.encode(torch.tensor([12.5, np.nan, 1000]).double()))
    assert [price.values(found["price"], row) for row in range(3)] == [["12.50"], [], ["1e3"]]
    assert price.check([["3.10"]]) == [["3.10"]] and price.values(torch.tensor([3.5]).double(), 0) == ["3.5"]
    less = Numbers.learned("n", [["25.0"], ["3.50"], ["4.25"]], ["at 25", "at 3.5", "at 4.25"], slots=True)
    assert less.spoken and less.plain and less.values([["7.0"]], 0) == ["7"] and not price.plain
    for wrong in ("3,10", "inf", "1_0"):
        with pytest.raises(DataError, match=f"'price': expected numbers as in training, got '{wrong}' in row 1"):
            price.check([["3"], [wrong]])
    file.write_text("price\n1\ninf\n")
    with pytest.raises(DataError, match="'price', row 1: expected finite numbers, got inf"):
        read(file, "price")
    assert isinstance(read({"price": ["12.50", "3"]}, "price")["price"], list)
    assert Inputs.learned(read({"price": ["12.50", "3"]}, "price"), range(2), ["", ""], slots=True).parts[0].size == 2


def test_numbers_that_are_missing_and_numbers_that_are_said():
    rows = torch.tensor([25.0, 30.0, float("nan"), 2.5], dtype=torch.float64)
    part = Numbers.learned("n", rows, ["25 degrees", "a 30", "none", "about 2.5"], slots=True)
    assert part.spoken and part.gaps and part.size == 2 and "a number, said" in str(part)
    assert part.encode(rows)[2].tolist() == [0, 1] and part.encode(rows)[0, 1] == 0
    assert [part.values(rows, row) for row in range(4)] == [["25"], ["30"], [], ["2.5"]]
    assert not Numbers.learned("n", rows, ["warm"] * 4, slots=True).spoken
    assert not Numbers.learned("n", rows, ["25", "30", "", "2.5"], slots=False).spoken


@pytest.mark.parametrize("n", [[1.0, 2.0, 3.0, None], [1, None, 3, None]])
def test_gaps_in_rows_kept_for_validation_count(n):
    found = read({"n": n, "v": ["a"] * 4}, "n", "v")
    some = Inputs.learned(found, [0, 2], [""] * 4, slots=True)
    assert some.parts[0].gaps and some.check(found) and some.encode(found, [0, 3])[:, 1].tolist() == [0, 1]
    assert not Inputs.learned(read({"n": [1.0, 2.0]}, "n"), [0], [""] * 2, slots=True).parts[0].gaps


def test_which_values_are_spoken():
    texts = ["the fox is cheap", "the owl is cheap", "elk , not cheap", "any will do"]
    name = Attribute.learned("name", [["fox"], ["owl"], ["elk"], ["?"]], texts, slots=True)
    assert {"elk", "fox", "owl"} <= set(name.spoken) and name.slots == 1
    kids = Attribute.learned("kids", [["yes"], ["no"], [], ["yes"]], texts, slots=True)
    assert (kids.categories, kids.spoken, kids.slots) == (("no", "yes"), (), 0)
    assert kids.encode([["yes"], ["no"], []]).tolist() == [[0, 1], [1, 0], [0, 0]]
    assert kids.values([["yes"]], 0) == [] and kids.unknown([["maybe"]], 0) == ["maybe"]
    assert name.values([["never seen"]], 0) == ["never seen"] and name.unknown([["a", "b"]], 0) == []
    assert Attribute.learned("name", [["fox"]], ["fox"], slots=False).spoken == ()


def test_a_value_that_is_hardly_ever_said_is_a_category():
    values, texts = [["fox"], ["owl"]] * 6 + [["dontcare"]] * 8, ["fox", "owl"] * 6 + ["it does not matter"] * 8
    part = Attribute.learned("name", values, texts, slots=True)
    assert (part.categories, part.spoken) == (("dontcare",), ("fox", "owl"))
    assert part.encode([["owl"], ["dontcare"], ["new"]]).tolist() == [[0, 1], [1, 0], [0, 1]]


def inputs():
    rows = [
        {"a": {"name": name, "food": food, "kids": kids}, "n": n}
        for n, (name, food, kids) in enumerate([("fox", ["thai", "wok"], "yes"), ("owl", ["thai"], "no")] * 3)
    ]
    texts = [f"{r['a']['name']} has {' and '.join(r['a']['food'])}" for r in rows]
    found = read(rows, "a", "n")
    return Inputs.learned(found, range(6), texts, slots=True), found


def test_inputs_come_back_from_json():
    some, found = inputs()
    back = Inputs.from_json(some.to_json())
    assert back.to_json() == some.to_json() and back.slots == some.slots == ("name", "food", "food 2")
    assert torch.equal(back.encode(found, range(6)), some.encode(found, range(6)))
    assert some.encode(found, [0]).shape == (1, some.size) and some.telling == {"fox", "owl", "thai", "wok"}
    assert [value for _, value in some.said(found, 0)] == ["fox", "thai", "wok"]


def test_what_was_not_in_training_is_told():
    some, _ = inputs()
    absent = some.check(read([{"a": {"name": "elk"}, "n": 1}], "a", "n"))
    assert absent["food"] == [[]] and [value for _, value in some.said(absent, 0)] == ["elk"]
    with pytest.raises(DataError, match="got 'nmae': did you mean 'name'"):
        some.check(read([{"a": {"nmae": "elk"}, "n": 1}], "a", "n"))
    with pytest.raises(DataError, match="'n': expected numbers as in training, got 'one' in row 0"):
        some.check(read([{"a": {"name": "elk"}, "n": "one"}], "a", "n"))
    with pytest.raises(DataError, match=r"'n': expected rows of numbers \[\] as in training, got \[2\]"):
        some.check(read([{"a": {"name": "elk"}, "n": [1, 2]}], "a", "n"))
    with pytest.raises(DataError, match="'n', row 1: expected a number, as in all rows"):
        some.check(read([{"a": {"name": "elk"}, "n": 1}, {"a": {"name": "elk"}, "n": None}], "a", "n"))
    with pytest.warns(UserWarning, match=r"1 values that were not in training say nothing: 'kids=maybe' \(row 0\)"):
        some.check(read([{"a": {"kids": "maybe"}, "n": 1}], "a", "n"))
    more = [{"a": {"food": ["thai"]}, "n": 1}, {"a": {"food": ["wok", "thai", "wok", "fish"]}, "n": 1}]
    with pytest.warns(UserWarning, match=r"^'food': more than 2 values, .*: 'wok' \(row 1\), 'fish' \(row 1\)") as told:
        some.check(read(more, "a", "n"))
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        some.check(read([{"a": {"name": "never seen", "kids": "yes"}, "n": 1}], "a", "n"))


def network(feed, cell, layers=2):
    torch.manual_seed(0)
    within = torch.zeros(2, 9)
    within[0, 5], within[1, 6] = 1, 1
    return DescribeNetwork(4, within, 0, feed, cell, layers, 7, 5, 0.0, 0.1).double().eval()


@pytest.fixture
def by_torch():
    """Without kernels: what is tested here is what stands around the layers."""
    with elman.using(backend="reference"):
        yield


@pytest.mark.usefixtures("by_torch")
@pytest.mark.parametrize("cell", ["gru", "lstm", "elman"])
@pytest.mark.parametrize("feed", FEEDS)
def test_a_network_step_by_step_is_the_network_at_once(feed, cell):
    net, x = network(feed, cell), torch.randn(3, 4, dtype=torch.float64)
    slots = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    tokens = torch.tensor([[EOS, EOS, EOS], [5, 5, 3], [6, 4, 4], [7, 3, 3]])
    lengths = torch.tensor([4, 3, 1])
    with torch.no_grad():
        y, _ = net.hidden(tokens, net.begin(x, slots), lengths)
        states, found = net.begin(x, slots), []
        for row in tokens:
            z, states = net(row, states)
            found.append(z)
        target = torch.cat([tokens[1:], torch.full_like(tokens[:1], EOS)])
        loss = net.loss(Batch(x, slots, target, lengths), None)
    for b, length in enumerate(lengths.tolist()):
        whole = net.readout(y[:length, b])
        for t in range(length):
            allowed = torch.isfinite(found[t][b])
            torch.testing.assert_close(whole[t][allowed], found[t][b][allowed])
    assert not torch.isfinite(found[0][2][[5, 6, PAD, UNKNOWN]]).any() and torch.isfinite(found[0][0][[5, 6]]).all()
    alone = [net.loss(Batch(x[b : b + 1], slots[b : b + 1], target[:n, b : b + 1], lengths[b : b + 1]), None)
             for b, n in enumerate(lengths.tolist())]  # fmt: skip
    torch.testing.assert_close(loss.total, sum(each.total for each in alone))
    assert loss.count == 8
    with torch.no_grad():
        smooth = net.train().loss(Batch(x, slots, target, lengths), None).total
    wanted = 0.0
    for t, b in ((t, b) for b, length in enumerate(lengths.tolist()) for t in range(length)):
        z = net.readout(y[t, b]).masked_fill(~torch.isfinite(found[t][b]) & (torch.arange(9) > 2), -torch.inf)
        z = z.log_softmax(-1)
        wanted -= 0.9 * z[target[t, b]] + 0.1 * z[z.isfinite()].mean()
    torch.testing.assert_close(smooth, wanted)


@pytest.mark.usefixtures("by_torch")
@pytest.mark.parametrize("feed", FEEDS)
def test_the_vector_reaches_every_step_and_its_network_learns(feed):
    net, x = network(feed, "gru"), torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    slots = torch.ones(2, 2, dtype=torch.float64)
    y, _ = net.hidden(torch.tensor([[EOS, EOS], [3, 4], [4, 3]]), net.begin(x, slots))
    (last,) = torch.autograd.grad(y[-1, 0].sum(), x)
    assert last[0].abs().min() > 0 and last[1].abs().max() == 0


@pytest.mark.usefixtures("by_torch")
def test_slots_that_are_left_are_counted():
    net = network("every", "elman", layers=1)
    states = net.begin(torch.zeros(1, 4, dtype=torch.float64), torch.tensor([[1.0, 1.0]], dtype=torch.float64))
    with torch.no_grad():
        _, after = net.hidden(torch.tensor([[EOS], [5], [5]]), states)
        assert after["left"].tolist() == [[0, 1]]
        assert net.hidden(torch.tensor([[6]]), after)[1]["left"].tolist() == [[0, 0]]


def test_figures_by_hand():
    said = ["a b c d e", "the fox"]
    score = score_descriptions(said, [["a b c d e", "x"], ["an owl"]], [[], [(A, "owl")]], {"fox"})
    assert score.exact == 0.5 and score.exact_interval[0] < 0.5 < score.exact_interval[1]
    assert score.slots == SlotErrors(slots=1, missing=1, repeated=0, wrong=1)
    perfect = score_descriptions(said, [["x", "a b c d e"], ["the fox"]], [[], []], set())
    assert perfect.bleu == pytest.approx(100) and perfect.chrf == pytest.approx(100)
    assert perfect.bleu_interval[0] <= 100 + 1e-6
    assert perfect.slots.slots == 0


def test_the_interval_of_bleu_holds_bleu_and_shrinks():
    pairs = [("a b c d e", "a b c d f"), ("u v w x y", "u v w x y"), ("k l m n", "m n o p q")]
    widths = []
    for times in (4, 64):
        said, right = zip(*pairs * times, strict=True)
        score = score_descriptions(said, [[text] for text in right], [[]] * len(said), set())
        low, high = score.bleu_interval
        assert low <= score.bleu <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_what_can_be_drawn(tmp_path):
    colours = read({"Red": [0, 255], "green": [0, 128], "blue": [255, 0], "x": [1, 2]}, "Red", "green", "blue", "x")
    torch.testing.assert_close(patches(colours)[1, 0, 0], torch.tensor([1, 128 / 255, 0], dtype=torch.float64))
    images = read({"x": [[[0, 4], [2, 2]], [[0, 0], [0, 0]]]}, "x")
    assert patches(images).tolist()[0] == [[0, 1], [0.5, 0.5]]
    assert patches(read({"r": [1, 2], "g": [1, 2]}, "r", "g")) is None
    draw_said(patches(colours), ["a $1 blue", "orange" * 20], ["x", "y"], tmp_path / "said.png")
    assert (tmp_path / "said.png").read_bytes().startswith(b"\x89PNG")

"""bench.problems.restaurant: acts are read as they are written, and its figures are those of the data set's toolkit."""

import gzip
import json
import random

import pytest
import sacrebleu
from bench.problems.restaurant import bleu, delexicalised, lexicalised, meaning, measured, parsed, slot_errors, table

from elman.tasks import DescribeModel

WORDS = {
    "general": {"name": "SLOT_NAME", "food": "SLOT_FOOD", "area": "SLOT_AREA", "near": "SLOT_NEAR"},
    "binary": {"kidsallowed": ["kid", "kids", "child"]},
}
ACT = "inform(name='red door cafe';food='thai or indian';kidsallowed=yes)"


def test_acts():
    assert parsed(ACT) == ("inform", [("name", "red door cafe"), ("food", "thai or indian"), ("kidsallowed", "yes")])
    assert parsed("?request(food)") == ("?request", [("food", "?")]) and parsed("goodbye()") == ("goodbye", [])
    assert parsed("?select(good_for meal=dont_care;near='a b')")[1] == [("goodformeal", "dontcare"), ("near", "a b")]
    assert meaning(ACT) == ("inform", ("food", "_"), ("kidsallowed", "yes"), ("name", "_"))
    assert meaning("a(food=x;food=y)") == ("a", ("food", "_"), ("food", "_")) != meaning("a(food=x)")


def test_a_file_becomes_a_table(tmp_path):
    file = tmp_path / "restaurant_test.json.gz"
    file.write_bytes(
        gzip.compress(b'###\n# (c) #\n[["?select(food=thai;food=\'sea food\')", "thai or sea food ?", "x"]]')
    )
    (row,) = table(file)
    assert row["attributes"] == {"act": ["?select"], "food": ["thai", "sea food"]}
    assert row["sentence"] == "thai or sea food"


def test_values_are_replaced_and_put_back():
    text = "red door cafe serves indian and thai , red door cafe"
    assert delexicalised(text, ACT) == "SLOT_NAME serves SLOT_FOOD , red door cafe"
    assert (
        lexicalised("SLOT_NAME serves SLOT_FOOD , SLOT_TYPE", ACT) == "red door cafe serves thai or indian , restaurant"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("red door cafe serves thai or indian to kids", (3, 0, 0)),
        ("red door cafe serves thai", (3, 1, 2)),
        ("red door cafe and SLOT_NAME serve thai and indian to kids with a child", (3, 1, 2)),
    ],
)
def test_slot_errors(text, wanted):
    assert slot_errors(text, ACT, WORDS) == wanted
    assert slot_errors(text, ACT.replace("inform", "?select"), WORDS) == (0, 0, 0)


def test_bleu_is_bleu():
    draw = random.Random(0)

    def sentence():
        return " ".join(draw.choice("abcd") for _ in range(draw.randint(4, 9)))

    said = [sentence() for _ in range(30)]
    # One of the same length, since sacrebleu takes the shorter of two that are as near, the toolkit the first one.
    given = [[sentence() for _ in range(draw.randint(1, 4))] + [text[::-1]] for text in said]
    streams = [[(*g, *[None] * 5)[n] for g in given] for n in range(5)]
    wanted = sacrebleu.corpus_bleu(said, streams, tokenize="none", smooth_method="none").score
    assert 100 * bleu([[text] for text in said], given) == pytest.approx(wanted, abs=1e-4)
    twice = bleu([[text, text] for text in said], given)
    assert twice == pytest.approx(bleu([[text] for text in said], given))


def test_figures_of_a_model():
    acts = [f"inform(name={name};kidsallowed={kids})" for name in ("fox", "owl", "elk") for kids in ("yes", "no")] * 8
    rows = []
    for act in acts:
        kind, pairs = parsed(act)
        attributes = {"act": [kind], **{slot: [value] for slot, value in pairs}}
        allows = "allows" if "yes" in act else "bans"
        rows.append({"act": act, "attributes": attributes, "sentence": f"the {pairs[0][1]} {allows} any kid"})
    model = DescribeModel(
        input="attributes", output="sentence", hidden_size=32, embedding=16, epochs=12, learning_rate=1e-2, dropout=0.0,
        batch_size=8, validation=0.0,
    ).fit(rows, threads=1)  # fmt: skip
    new = json.loads(json.dumps(rows[:2]).replace("fox", "gnu"))
    best, five, right = measured(model, new, WORDS)
    assert best == (pytest.approx(1, abs=1e-5), 0, 0) and right == (0, 0) and five[0] < 1

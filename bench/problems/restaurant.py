"""What a restaurant guide says: a dialogue act (its kind, and slots with values) to a sentence.

The act is read as attributes, its kind among them; the sentence is what people wrote. The figures are those of the
data set's own toolkit: see docs/describe.md for what exactly is computed.

Source: T.-H. Wen et al., Semantically Conditioned LSTM-based Natural Language Generation for Spoken Dialogue Systems,
    EMNLP 2015; T.-H. Wen et al., Multi-domain Neural Network Language Generation for Spoken Dialogue Systems,
    NAACL 2016 (the figures asked are those of its encoder and decoder with attention, and a bound on slot errors).
"""

import gzip
import itertools
import json
import math
import re
from collections import Counter

from elman.tasks import DescribeModel

from . import Asked, Measured

TITLE = "restaurant, an act to a sentence"
JOB = "describe"
DATA = ("restaurant_train.json.gz", "restaurant_valid.json.gz", "restaurant_test.json.gz", "resource__detect.pair")
ASKED = (
    Asked("BLEU of the best sentence", ">=", 0.7398),
    Asked("slot errors of the best sentence, %", "<=", 1),
    Asked("BLEU of the five best", ">=", 0.7398),
    Asked("slot errors of the five best, %", "<=", 1),
)
SAME = {"dont_care": "dontcare", "true": "yes", "false": "no"}
SPECIAL = {"none", "yes", "no", "dontcare", "?"}


def parsed(act):
    """Its kind, and (slot, value) in order; "?" is the value of a slot that is asked for."""
    kind, _, body = act.rpartition(")")[0].partition("(")
    pairs = []
    for part in filter(None, body.split(";")):
        slot, _, value = part.partition("=")
        value = value.strip("'\"") or "?"
        pairs.append((re.sub("[_ ]", "", slot.strip("'\"")), SAME.get(value, value)))
    return kind, pairs


def table(file):
    """Rows with "act", the text of the act, "attributes", what it says, and "sentence"."""
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    rows = []
    for act, sentence, _ in json.loads("\n".join(line for line in lines if not line.startswith("#"))):
        kind, pairs = parsed(act)
        attributes = {"act": [kind]}
        for slot, value in pairs:
            attributes.setdefault(slot, []).append(value)
        rows.append({"act": act, "attributes": attributes, "sentence": re.sub(r" [.?!]$", "", sentence)})
    return rows


def meaning(act):
    """What acts have in common that differ in values alone: the kind, and each slot with "_" or a special value."""
    kind, pairs = parsed(act)
    return (kind, *sorted((slot, value if value in SPECIAL else "_") for slot, value in pairs))


def delexicalised(sentence, act):
    """SLOT_NAME and so on in place of values, the longest first, each once; "a or b" also as "b and a"."""
    for slot, value in sorted(parsed(act)[1], key=lambda pair: -len(pair[1])):
        if value in SPECIAL:
            continue
        parts = value.replace(" or ", " and ").split(" and ")
        orders = [word.join(some) for word in (" and ", " or ") for some in itertools.permutations(parts)]
        found = next((each for each in orders if each in sentence), None)
        if found is not None:
            sentence = f" {sentence} ".replace(f" {found} ", f" SLOT_{slot.upper()} ", 1)[1:-1]
    return sentence


def lexicalised(sentence, act):
    """Values in place of SLOT_NAME and so on."""
    for slot, value in parsed(act)[1]:
        if value not in SPECIAL:
            sentence = f" {sentence} ".replace(f" SLOT_{slot.upper()} ", f" {value} ", 1)[1:-1]
    return f" {sentence} ".replace(" SLOT_TYPE ", " restaurant ")[1:-1]


def slot_errors(sentence, act, words):
    """Slots of an act, and by how many each is said too seldom or too often: of those with values, and of all.

    Args:
        sentence: with its values.
        act: what was to be said.
        words: the file detect.pair: the word of each slot with values, and the words that tell one without.
    """
    kind, pairs = parsed(act)
    if kind in ("?select", "suggest"):
        return 0, 0, 0
    said = delexicalised(sentence, act).split()
    valued = Counter(slot for slot, value in pairs if value not in SPECIAL)
    told = Counter(slot for slot, value in pairs if value in SPECIAL - {"?"})
    wrong = sum(abs(valued[slot] - said.count(word)) for slot, word in words["general"].items())
    unsure = sum(abs(told[slot] - sum(map(said.count, some))) for slot, some in words["binary"].items())
    count = sum(valued[slot] for slot in words["general"]) + sum(told[slot] for slot in words["binary"])
    return count, wrong, wrong + unsure


def bleu(said, given):
    """BLEU-4 over all sentences that were written, some for each act, against all that are right for it."""
    matches, totals, lengths = [0] * 4, [0] * 4, [0, 0]
    for hypotheses, references in zip(said, given, strict=True):
        references = [reference.split() for reference in references]
        for words in map(str.split, hypotheses):
            for n in range(4):
                counts = grams(words, n + 1)
                most = Counter()
                for reference in references:
                    most |= grams(reference, n + 1)
                matches[n] += (counts & most).total()
                totals[n] += counts.total()
            lengths[0] += len(words)
            lengths[1] += len(min(references, key=lambda each: abs(len(each) - len(words))))
    precision = sum(math.log(max(m, 1e-7) / max(t, 1)) for m, t in zip(matches, totals, strict=True)) / 4
    return math.exp(precision + min(0.0, 1 - lengths[1] / max(1, lengths[0])))


def grams(words, n):
    """The n-grams of some words, counted."""
    return Counter(tuple(words[place : place + n]) for place in range(len(words) - n + 1))


def measured(model, rows, words):
    """BLEU, share of slot errors of slots with values, and of all, of the best and of the five best sentences."""
    groups = {}
    for row in rows:
        groups.setdefault(meaning(row["act"]), []).append(delexicalised(row["sentence"], row["act"]))
    given = [[lexicalised(each, row["act"]) for each in groups[meaning(row["act"])]] for row in rows]
    said = model.predict([{"attributes": row["attributes"]} for row in rows], n_best=5)["output"].to_list()
    found = []
    for count in (1, 5):
        some = [sentences[:count] for sentences in said]
        errors = [slot_errors(s, row["act"], words) for row, several in zip(rows, some, strict=True) for s in several]
        slots, wrong, unsure = (sum(each) for each in zip(*errors, strict=True))
        found.append((bleu(some, given), wrong / slots, unsure / slots))
    right = [slot_errors(row["sentence"], row["act"], words) for row in rows]
    slots, wrong, unsure = (sum(each) for each in zip(*right, strict=True))
    return *found, (wrong / slots, unsure / slots)


def run(settings):
    """Train on the training rows, a share of which chooses the epoch; measure on the test rows once."""
    train, _, test = (table(settings.file(name)) for name in DATA[:3])
    words = json.loads(settings.file(DATA[3]).read_text())
    options = {"epochs": 1, "hidden_size": 16} if settings.quick else {}
    model = DescribeModel(input="attributes", output="sentence", seed=settings.seed, **options)
    model.fit(train, device="cpu")
    settings.say(f"epoch {model.history.best.epoch}: validation {model.history.best.validation:.4f} nats per word")
    test = test[:50] if settings.quick else test
    best, five, right = measured(model, test, words)
    plain = model.score(test).figures()
    note = ", ".join(f"{name} {plain[name]:.4g}" for name in ("BLEU", "nearest row: BLEU", "exact"))
    yield Measured(ASKED[0], best[0], f"the job's own figures: {note}; {model.summary}")
    yield Measured(ASKED[1], 100 * best[2], f"of values alone {best[1]:.2%}; in what people wrote {right[1]:.2%}")
    yield Measured(ASKED[2], five[0], "as the toolkit counts")
    yield Measured(ASKED[3], 100 * five[2], f"of values alone {five[1]:.2%}")

"""Self-ensembles in every job that has them: one is the plain model, several are averaged; splits by group."""

import itertools
import random

import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner

import elman
from elman import cli
from elman.data import Tokens, padded
from elman.errors import ArgumentError, DataError
from elman.tasks import ClassifyModel, TagModel, TranslateModel
from elman.tasks.ensemble import Ensemble
from elman.tasks.splits import split_groups, split_labels
from elman.tasks.symbols import EOS
from test_tag import score_of

SIZES = {"hidden_size": 8, "embedding": 4, "epochs": 1, "dropout": 0.2, "batch_size": 16, "learning_rate": 1e-2}


def rows(count=60, seed=0):
    """Words; what they become, whether there is an a, how often, and which of their letters are one, all at once."""
    draw = random.Random(seed)
    words = ["".join(draw.choice("abcd") for _ in range(draw.randint(1, 6))) for _ in range(count)]
    return {
        "word": words,
        "double": [2 * word for word in words],
        "kind": ["has" if "a" in word else "none" for word in words],
        "kinds": [";".join(letter for letter in "ab" if letter in word) for word in words],
        "many": [word.count("a") for word in words],
        "marks": ["".join("1" if letter == "a" else "0" for letter in word) for word in words],
        "family": [word[0] for word in words],
    }


JOBS = {
    "label": (ClassifyModel, {"input": "word", "label": "kind"}),
    "labels": (ClassifyModel, {"input": "word", "label": "kinds", "target": "labels"}),
    "number": (ClassifyModel, {"input": "word", "label": "many", "target": "number"}),
    "tags": (TagModel, {"input": "word", "tags": "marks", "unit": "char"}),
    "tags together": (TagModel, {"input": "word", "tags": "marks", "unit": "char", "crf": True}),
    "translations": (TranslateModel, {"input": "word", "output": "double", "beam": 2}),
}


def made(name, **options):
    kind, own = JOBS[name]
    return kind(**(SIZES | own | options))


@pytest.fixture(scope="module", params=JOBS)
def several(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("several") / "m.elman"
    return request.param, made(request.param, ensemble=3).fit(rows(), out=out, threads=1), out


def read_by(model, words):
    """What the network of a model reads of words, and their lengths."""
    if isinstance(model, ClassifyModel):
        return padded(model.inputs.encode(words))
    if isinstance(model, TagModel):
        return padded(model.inputs.encode(Tokens(words)))
    return padded([model.sources.encode(word) for word in words])


@pytest.mark.parametrize("name", JOBS)
def test_an_ensemble_of_one_is_the_plain_model(name):
    """No ensemble is made of one; and if one were, its loss and gradients would be the same, bit for bit."""
    model, first = made(name, ensemble=1), made(name, ensemble=2)
    batch = next(model.prepare_data(rows()).training.starting_at(0))
    first.prepare_data(rows())
    assert not isinstance(model.network, Ensemble)
    for key, weight in first.network.members[0].state_dict().items():
        assert torch.equal(weight, model.network.state_dict()[key]), key
    losses, gradients = [], []
    for network in (model.network, Ensemble([model.network])):
        network.zero_grad()
        torch.manual_seed(0)
        losses.append(network.loss(batch, None))
        losses[-1].total.backward()
        gradients.append([p.grad for p in network.parameters() if p.grad is not None])
    assert torch.equal(losses[0].total, losses[1].total) and losses[0].size == losses[1].size
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.slow
def test_its_members_differ_and_come_back_from_the_file(several):
    _, model, out = several
    first, second, _ = (list(member.parameters()) for member in model.network.members)
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True) if a.dim() > 1)
    assert model.summary.endswith("in 3 networks") and model.weights == 3 * sum(p.numel() for p in first)
    back = elman.load(out)
    assert back.ensemble == 3 and back.predict(rows(9)).equals(model.predict(rows(9)))
    assert back.checked == model.checked


def test_what_is_said_is_the_mean_of_the_members(several):
    """The oracles: softmax, sigmoid or nothing, then the mean; for the beam at each of two steps."""
    name, model, _ = several
    x, lengths = read_by(model, ["abca", "b", "da"])
    members = model.network.eval().members
    with torch.no_grad():
        match name:
            case "label" | "labels" | "number":
                say = {"label": lambda z: z.softmax(-1), "labels": torch.sigmoid, "number": lambda z: z}[name]
                mean = sum(say(member(x, lengths)) for member in members) / 3
                torch.testing.assert_close(say(model.network(x, lengths)), mean, rtol=1e-5, atol=1e-6)
            case "tags":
                mean = sum(member(x, lengths).softmax(-1) for member in members) / 3
                assert torch.equal(model.network.best(x, lengths)[:, 0], mean.argmax(-1)[:, 0])
            case "tags together":
                best, z = model.network.best(x, lengths), [member(x, lengths) for member in members]
                for row, length in enumerate(lengths.tolist()):
                    every = list(itertools.product(range(2), repeat=length))
                    scores = [
                        sum(score_of(m.field, own[:, row], some) for m, own in zip(members, z, strict=True))
                        for some in every
                    ]
                    assert tuple(best[:length, row].tolist()) == every[int(torch.stack(scores).argmax())]
            case "translations":
                states, alone = model.network.encode(x, lengths), [m.encode(x, lengths) for m in members]
                for tokens in (torch.full((3,), EOS), torch.tensor([3, 4, 5])):
                    logits, states = model.network(tokens, states)
                    found = [member(tokens, state) for member, state in zip(members, alone, strict=True)]
                    alone = [state for _, state in found]
                    mean = sum(z.softmax(-1) for z, _ in found) / 3
                    torch.testing.assert_close(logits.softmax(-1), mean, rtol=1e-5, atol=1e-6)


def test_each_member_learns_as_if_it_were_alone(several):
    """The loss is the mean, the gradient of a member that of its own loss."""
    _, model, _ = several
    batch = next(model.prepare_data(rows()).training.starting_at(0))
    network = model.network.eval()
    together = network.loss(batch, None)
    network.zero_grad()
    together.total.backward()
    found = [[p.grad.clone() for p in member.parameters() if p.grad is not None] for member in network.members]
    alone = [member.loss(batch, None) for member in network.members]
    torch.testing.assert_close(together.total, sum(loss.total for loss in alone) / 3)
    for member, loss, gradients in zip(network.members, alone, found, strict=True):
        network.zero_grad()
        loss.total.backward()
        own = [p.grad for p in member.parameters() if p.grad is not None]
        for one, other in zip(gradients, own, strict=True):
            torch.testing.assert_close(one, other)


def test_states_of_each_row(several):
    _, model, _ = several
    words = ["abca", "", "da"]
    x, lengths = read_by(model, words)
    found = model.states({"word": words})
    assert [tuple(some.shape) for some in found] == [(4, 3 * 16), (0, 3 * 16), (2, 3 * 16)]
    alone = model.network.members[1].eval()
    with torch.no_grad():
        own = alone.attended(x, lengths)[0] if isinstance(model, ClassifyModel) else alone.states(x, lengths)
    torch.testing.assert_close(found[0][:, 16:32], own[:4, 0])


def test_clipping_is_that_of_each():
    """A gradient that would not be cut alone is not cut together."""
    for several, clip in ((1, 1), (4, 2)):
        settings = made("label", ensemble=several)._settings("cpu", 1, time_limit=None, devices=1, nodes=1)
        assert settings.clip == clip


@pytest.mark.parametrize("name", ["label", pytest.param("translations", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_stopped_ensemble_goes_on_as_if_it_had_not(name, tmp_path):
    from lightning.pytorch import Callback

    class Stop(Callback):
        def on_train_batch_end(self, trainer, learner, *_):
            learner.stop_asked = learner.standing.epoch == 1

    options, out = {"ensemble": 2, "epochs": 3}, tmp_path / "m.elman"
    whole = made(name, **options).fit(rows(), threads=1)
    with pytest.raises(KeyboardInterrupt):
        made(name, **options).fit(rows(), out=out, threads=1, callbacks=lambda model: [Stop()])
    with pytest.raises(DataError, match="ensemble was 2, is 3"):
        made(name, **(options | {"ensemble": 3})).fit(rows(), out=out, threads=1, resume=True)
    on = made(name, **options).fit(rows(), out=out, threads=1, resume=True)
    for key, weight in whole.network.state_dict().items():
        assert torch.equal(weight, on.network.state_dict()[key]), key


@pytest.mark.parametrize("name", ["label", "tags", "translations"])
def test_rows_of_a_group_stay_together(name):
    data, seen = rows(80), []

    class Spy(JOBS[name][0]):
        def _batches(self, *given):
            seen.append(given)
            return super()._batches(*given)

    model = Spy(**(SIZES | JOBS[name][1]), group="family", validation=0.3)
    model.prepare_data(data)
    learned, kept = ({data["family"][row] for row in given[2]} for given in seen)
    assert learned and kept and not learned & kept and learned | kept == set("abcd")
    for group, said in (("famly", "'famly' for the groups: did you mean 'family'"), ("gap", "got none in row 1")):
        with pytest.raises(DataError, match=said):
            made(name, group=group).fit({**data, "gap": ["x", None] * 40}, threads=1)


def test_the_column_of_groups_is_not_read():
    data = rows()
    model = ClassifyModel(group="family", **SIZES)
    model.prepare_data({name: data[name] for name in ("family", "word", "kind")})
    assert (model.input, model.label) == ("word", "kind")


def test_groups_and_labels_are_divided():
    groups = [n // 7 for n in range(140)]
    learned, kept = split_groups(groups, 0.2, 0)
    assert len(kept) == 28 and sorted(learned + kept) == list(range(140))
    assert {groups[n] for n in learned}.isdisjoint(groups[n] for n in kept)
    assert split_groups(groups, 0.2, 1) != (learned, kept) and split_groups(groups, 0, 0) == (list(range(140)), [])
    assert split_groups(["a"] * 9 + ["b"], 0.1, 3) == (list(range(9)), [9])
    assert split_groups(["a"] * 5 + ["b"] * 6, 0.1, 3) == (list(range(5, 11)), list(range(5)))
    assert split_groups(["a"] * 5 + ["b"] * 6, 0.99, 3) == (list(range(5)), list(range(5, 11)))
    with pytest.raises(DataError, match=r"two groups or more, .* got 1"):
        split_groups(["a"] * 5, 0.1, 0)
    learned, kept = split_labels(["x"] * 10 + ["y"], 0.3, 0)
    assert len(kept) == 3 and 10 in learned


def test_what_is_no_ensemble():
    for name in JOBS:
        with pytest.raises(ArgumentError, match="expected ensemble >= 1, got 0"):
            made(name, ensemble=0)


def test_the_command(tmp_path):
    from elman.data import read_table

    table, out = tmp_path / "rows.csv", tmp_path / "m.elman"
    read_table(rows(80)).write_csv(table)
    words = ["classify", "fit", table, "--input", "word", "--label", "kind", "--group", "family", "--ensemble", 2]
    words += ["--out", out, "--hidden-size", 8, "--epochs", 1, "--validation", 0.3, "--threads", 1]
    done = CliRunner().invoke(cli.app, list(map(str, words)))
    assert done.exit_code == 0 and "in 2 networks" in done.output and ClassifyModel.load(out).group == "family"


def test_mean_of_one_gives_its_own_probabilities():
    from elman.tasks.ensemble import mean_logits

    z = torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(mean_logits([z]).softmax(-1), z.softmax(-1))
    torch.testing.assert_close(mean_logits([z, z + 7]), functional.log_softmax(z, -1))

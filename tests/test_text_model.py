"""The text model: it learns, writes, measures, and comes back from its file as it was."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn
from typer.testing import CliRunner

import elman
from elman import cli
from elman.data import UNKNOWN
from elman.errors import ArgumentError, DataError, NumericsError
from elman.tasks import TextModel

RHYME = "one two, buckle my shoe; three four, knock at the door;\n" * 30
SMALL = {
    "hidden_size": 32,
    "embedding": 8,
    "window": 20,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "layers": 1,
    "cell": "lstm",
    "dropout": 0.0,
}


@pytest.fixture(scope="module")
def rhymer(tmp_path_factory):
    """A model that knows one rhyme by heart, and its file."""
    out = tmp_path_factory.mktemp("rhyme") / "rhyme.elman"
    return TextModel(**{**SMALL, "epochs": 12}).fit(RHYME, out=out), out


def test_it_learns(rhymer):
    model, _ = rhymer
    assert model.sample("one two, buckle", length=30, temperature=0.1, seed=1) == " my shoe; three four, knock at"
    assert model.score(RHYME).bits_per_character < 0.3
    assert model.history.best.validation < 0.3


def test_only_model_history_and_curve_are_left(rhymer):
    model, out = rhymer
    assert sorted(path.name for path in out.parent.iterdir()) == ["rhyme.csv", "rhyme.elman", "rhyme.html", "rhyme.png"]
    assert len(out.with_suffix(".csv").read_text().splitlines()) == len(model.history.rows) + 1


def test_it_comes_back_from_its_file(rhymer, tmp_path):
    model, out = rhymer
    model.save(tmp_path / "again.elman")
    for file in (out, tmp_path / "again.elman"):
        back = TextModel.load(file, device="cpu")
        assert back.sample("one", 20, seed=3) == model.sample("one", 20, seed=3)
        assert back.score(RHYME) == model.score(RHYME)
        assert (back.summary, back.history) == (model.summary, model.history)
        assert back.symbols == model.symbols
    with safe_open(out, framework="pt") as file:  # any reader of safetensors will do
        assert "readout.weight" in file.keys()  # noqa: SIM118


def test_the_same_seed_gives_the_same_model_and_another_one_another():
    same = [TextModel(**{**SMALL, "epochs": 1, "dropout": 0.3, "seed": seed}).fit(RHYME) for seed in (1, 1, 2)]
    one, again, other = (model.network.state_dict() for model in same)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["readout.weight"], other["readout.weight"])


def test_sampling_leaves_the_generators_alone_and_follows_its_seed(rhymer):
    model, _ = rhymer
    before = torch.get_rng_state()
    texts = [model.sample("t", 40, temperature=3.0, seed=seed) for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(torch.get_rng_state(), before)
    assert "".join(model.stream("t", 40, temperature=3.0, seed=7)) == texts[0]


def test_unknown_characters_do_no_harm_and_are_charged(rhymer):
    model, _ = rhymer
    assert len(model.sample("日本 👩‍🚀", 30, temperature=5.0, seed=1)) == 30
    assert "\ufffd" not in model.sample("x", 200, temperature=50.0, seed=2)
    clean, odd = model.score(RHYME[:100]), model.score(RHYME[:100] + "é")
    assert (clean.unknown, odd.unknown) == (0, 1)
    extra = odd.bits_per_character * odd.characters - clean.bits_per_character * clean.characters
    assert extra > math.log2(1_000_000)


def test_the_code_is_a_distribution_over_all_characters(rhymer):
    model, _ = rhymer
    network, symbols = model.network, model.symbols
    with torch.no_grad():
        chances = network(torch.tensor([[1]]))[0][-1, 0].softmax(0)
    others = 0x110000 - 0x800 - (len(symbols) - 1)
    each = chances[UNKNOWN] * math.exp(-network.unknown_cost)
    assert float(chances[1:].sum() + others * each) == pytest.approx(1.0)


def test_score_is_the_sum_of_the_steps(rhymer):
    model, _ = rhymer
    text = RHYME[:30]
    numbers = model.symbols.encode(text)
    with torch.no_grad():
        logits, _ = model.network(numbers[:-1].unsqueeze(1))
    bits = nn.functional.cross_entropy(logits.squeeze(1), numbers[1:]).item() / math.log(2)
    score = model.score(text)
    assert score.bits_per_character == pytest.approx(bits, rel=1e-5)
    assert score.perplexity == pytest.approx(2**bits, rel=1e-5)
    assert (score.units, score.characters) == (29, 29)


def test_a_long_text_is_scored_in_one_stream(rhymer, monkeypatch):
    model, _ = rhymer
    whole = model.score(RHYME).bits_per_character
    monkeypatch.setattr("elman.tasks.text.model.SCORED_AT_ONCE", 17)
    assert model.score(RHYME).bits_per_character == pytest.approx(whole, rel=1e-5)


@pytest.mark.slow
def test_words_are_measured_per_character():
    model = TextModel(**{**SMALL, "unit": "word", "epochs": 6, "batch_size": 1, "window": 10}).fit(RHYME)
    score = model.score(RHYME)
    assert score.units < score.characters / 3
    assert score.perplexity == pytest.approx(2 ** (score.bits_per_character * score.characters / score.units))
    assert score.bits_per_character < 1.5
    written = model.sample("one two", 8, temperature=0.01, seed=1)
    assert written.startswith(", buckle my shoe; three")


@pytest.mark.parametrize("options", [{"cell": "gru", "layers": 2}, {"cell": "elman", "embedding": 0}])
def test_other_cells_and_one_hot(options, tmp_path):
    model = TextModel(**{**SMALL, **options, "epochs": 2, "validation": 0}).fit(RHYME, out=tmp_path / "m.elman")
    back = TextModel.load(tmp_path / "m.elman")
    assert back.score(RHYME) == model.score(RHYME)
    assert model.score(RHYME).bits_per_character < 4.0
    assert not model.history.epochs


def test_weights_can_be_given():
    model = TextModel(**{**SMALL, "epochs": 1, "learning_rate": 1e-30}).prepare(RHYME)
    nn.init.constant_(model.network.readout.bias, 0.5)
    model.fit(RHYME)
    assert torch.allclose(model.network.readout.bias, torch.tensor(0.5))


def test_it_is_torchs_lstm():
    """Both compute the same: the logits of the same weights in plain PyTorch."""
    model = TextModel(cell="lstm", hidden_size=12, embedding=5, layers=2, dropout=0.0).prepare(RHYME)
    plain = nn.LSTM(5, 12, 2)
    for number, layer in enumerate(model.network.stack.layers):
        assert isinstance(layer.cell, elman.LSTM)
        getattr(plain, f"weight_ih_l{number}").data = layer.cell.U.weight.data
        getattr(plain, f"weight_hh_l{number}").data = layer.cell.W.weight.data
        getattr(plain, f"bias_ih_l{number}").data = layer.cell.U.bias.data
        getattr(plain, f"bias_hh_l{number}").data.zero_()
    x = model.symbols.encode(RHYME[:80]).view(2, 40).t()
    expected = model.network.readout(plain(model.network.embedding(x))[0])
    assert torch.allclose(model.network(x)[0], expected, atol=1e-6)


def test_files_folders_and_texts_are_the_same_text(tmp_path):
    (tmp_path / "a.txt").write_text(RHYME, encoding="utf-8")
    models = [TextModel(**{**SMALL, "epochs": 1}).fit(given) for given in (RHYME, tmp_path, [tmp_path / "a.txt"])]
    assert models[0].score(RHYME) == models[1].score(tmp_path) == models[2].score([RHYME])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("cell", "transformer"), ("unit", "byte"), ("window", 0), ("layers", 0), ("hidden_size", 0), ("dropout", 1.0),
        ("validation", -0.1), ("batch_size", 0), ("learning_rate", 0.0), ("embedding", -1), ("vocabulary", 0),
    ],
)  # fmt: skip
def test_silly_options_are_refused(option, value):
    with pytest.raises(ArgumentError, match=option):
        TextModel(**{option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [("temperature", 0), ("temperature", -1), ("temperature", math.inf), ("top_k", 0), ("top_p", 0), ("top_p", 1.5)],
)
def test_silly_choices_are_refused_before_anything_is_written(rhymer, option, value):
    with pytest.raises(ArgumentError, match=option):
        rhymer[0].stream("a", 5, **{option: value})
    with pytest.raises(ArgumentError, match="length"):
        rhymer[0].sample("a", -1)


def test_more_symbols_than_there_are_cannot_be_chosen_among(rhymer):
    model, _ = rhymer
    known = len(model.symbols) - 1
    assert model.sample("one", 20, top_k=known, seed=1) == model.sample("one", 20, seed=1)
    with pytest.raises(ArgumentError, match=f"top_k <= {known}, .* got {known + 1}"):
        model.stream("one", 5, top_k=known + 1)


def test_a_text_must_be_long_enough():
    with pytest.raises(DataError, match=r"at least 65 chars .*window 64 .* got 45"):
        TextModel().fit("ab" * 25)
    with pytest.raises(DataError, match="at least 20 characters"):
        TextModel(window=2).fit("ab" * 5)
    with pytest.raises(DataError, match="expected text, got none"):
        TextModel().fit("")
    with pytest.raises(DataError, match="at least 2 chars"):
        TextModel(**SMALL).prepare(RHYME).score("a")


def test_a_name_of_a_file_is_not_taken_for_a_text(tmp_path):
    (tmp_path / "book.txt").write_text(RHYME)
    with pytest.raises(ArgumentError, match=r"Path\('.*book\.txt'\)"):
        TextModel().fit(str(tmp_path / "book.txt"))


def test_a_model_must_be_trained_first(tmp_path):
    for use in (lambda m: m.sample(), lambda m: m.score("ab"), lambda m: m.save(tmp_path / "m.elman")):
        with pytest.raises(ArgumentError, match="not been trained"):
            use(TextModel())
    with pytest.raises(ArgumentError, match="expected `out`"):
        TextModel().fit(RHYME, resume=True)


def test_nan_keeps_the_last_good_weights(tmp_path, monkeypatch):
    real, calls = elman.tasks.text.model.TextNetwork.loss, []

    def loss(network, batch, state):
        calls.append(1)
        found = real(network, batch, state)
        object.__setattr__(found, "total", found.total * (math.nan if len(calls) == 40 else 1.0))
        return found

    monkeypatch.setattr("elman.tasks.text.model.TextNetwork.loss", loss)
    out = tmp_path / "m.elman"
    with pytest.raises(NumericsError, match="loss became nan at step"):
        TextModel(**{**SMALL, "epochs": 12}).fit(RHYME, out=out)
    back = TextModel.load(out)
    assert len(back.history.epochs) == 1
    assert back.score(RHYME).bits_per_character == pytest.approx(back.history.best.validation, rel=0.2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.elman", "m.html", "m.png"]


def test_foreign_and_damaged_model_files(rhymer, tmp_path):
    whole = rhymer[1].read_bytes()
    cut = tmp_path / "cut.elman"
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.elman: expected an elman model file"):
            TextModel.load(cut)
    with pytest.raises(DataError, match="another kind"):
        TextModel.load(rhymer[1].with_suffix(".png"))
    other = whole.replace(b'\\"job\\": \\"text\\"', b'\\"job\\": \\"tune\\"')
    assert other != whole
    cut.write_bytes(other)
    with pytest.raises(DataError, match="job 'text', got one of 'tune'"):
        TextModel.load(cut)


def test_the_output_is_checked_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "none" / "m.elman", tmp_path / "file" / "m.elman"):
        with pytest.raises(DataError, match="expected the folder"):
            TextModel(**SMALL).fit(Path("never read"), out=out)


@pytest.mark.slow
def test_loading_and_sampling_need_no_lightning(rhymer):
    code = (
        "import sys; sys.modules['lightning'] = sys.modules['matplotlib'] = None\n"
        "from elman.tasks import TextModel\n"
        f"print(TextModel.load({str(rhymer[1])!r}).sample('one two', 5, 0.1, seed=1))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ", buc\n"


def test_nan_from_the_start_leaves_an_older_model_alone(tmp_path, monkeypatch):
    out = tmp_path / "model.elman"
    TextModel(**{**SMALL, "epochs": 1}).fit(RHYME, out=out)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    loss = elman.tasks.text.model.TextNetwork.loss

    def spoiled(self, batch, state):
        found = loss(self, batch, state)
        object.__setattr__(found, "total", found.total * math.nan)
        return found

    monkeypatch.setattr("elman.tasks.text.model.TextNetwork.loss", spoiled)
    with pytest.raises(NumericsError):
        TextModel(**{**SMALL, "epochs": 1}).fit(RHYME, out=out)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_says_what_it_is(rhymer):
    model, out = rhymer
    loaded = elman.load(out, "cpu")
    assert type(loaded) is TextModel and loaded.configuration() == model.configuration()
    runner = CliRunner()
    told = json.loads(runner.invoke(cli.app, ["info", str(out), "--json"]).stdout)
    assert told["job"] == "text" and told["options"]["hidden_size"] == 32
    assert told["trained on"] == {"characters": 1512, "characters for validation": 168}
    assert told["validation"]["bits per character"] == model.history.best.validation
    assert "1 × LSTM 32" in runner.invoke(cli.app, ["info", str(out)]).stdout
    with pytest.raises(DataError, match="found no file"):
        elman.load(out.with_name("other.elman"))


def test_half_a_character_is_told():
    with pytest.raises(DataError, match="half a surrogate pair at character 3"):
        TextModel().fit("abc\ud83d" * 200)


def test_a_model_that_was_continued_is_fitted_again_without_its_start(tmp_path):
    small = {"hidden_size": 4, "embedding": 4, "epochs": 1, "window": 8, "layers": 1}
    TextModel(**small).fit(RHYME, out=tmp_path / "a.elman", threads=1)
    started = TextModel(start=tmp_path / "a.elman", **small)
    assert started.start == str(tmp_path / "a.elman")
    started.fit(RHYME, out=tmp_path / "b.elman", threads=1)
    (tmp_path / "a.elman").unlink()
    TextModel.load(tmp_path / "b.elman").fit(RHYME, threads=1)


def test_a_million_characters_at_most_are_kept(monkeypatch):
    monkeypatch.setattr("elman.tasks.text.model.KEPT", 50)
    model = TextModel(hidden_size=4, embedding=4, layers=1, window=8, epochs=1)
    model.fit("one two three four " * 60, threads=1)
    assert (model.about["characters"], model.about["characters for validation"]) == (1140 - 50, 50)

"""The music job: distributions against sums over all frames, simple figures by hand, learning, files, bad input."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import elman
from elman import cli
from elman.data import Keyboard, Padded, write_midi
from elman.errors import ArgumentError, DataError, NumericsError
from elman.tasks import ClassifyModel, MusicModel
from elman.tasks.music.data import Form, Part, Passes, moved, split_parts, still, windows_of
from elman.tasks.music.heads import Chained, Independent, Mixture
from elman.tasks.music.score import Switches, Walks, score_pieces, student

SMALL = {"hidden_size": 16, "epochs": 3, "updates": 15, "learning_rate": 2e-2, "dropout": 0.0, "batch_size": 8}


def rounds(count, seed=0):
    """Pieces that go round four channels, from any of them on, sometimes two at once: one is the other's neighbour."""
    draw = np.random.default_rng(seed)
    return [np.eye(4)[(np.arange(draw.integers(6, 14)) + draw.integers(4)) % 4] for _ in range(count)]


def waves(count, seed=0):
    """Two real channels in units of their own: a wave, and twice as much with noise."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        wave = np.sin(np.arange(30) / 2 + draw.uniform(0, 6))
        found.append(np.stack([50 + 10 * wave, 0.02 * wave + 0.002 * draw.normal(size=30)], 1))
    return found


@pytest.fixture(scope="module")
def player(tmp_path_factory):
    out = tmp_path_factory.mktemp("rounds") / "rounds.elman"
    return MusicModel(**(SMALL | {"epochs": 5})).fit(rounds(40), out=out, threads=1), out


@pytest.fixture(scope="module")
def surfer():
    return MusicModel(**(SMALL | {"epochs": 6, "updates": 25})).fit(waves(20), threads=1)


@pytest.mark.parametrize("kind", [Independent, Chained])
def test_chances_of_all_frames_are_one(kind):
    torch.manual_seed(0)
    head = kind(4).requires_grad_(False)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    raw = torch.randn(4).expand(16, 4)
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))
    chances = torch.exp(-head.nats(raw, every))
    assert float(chances.sum()) == pytest.approx(1, abs=1e-6)
    generator = torch.Generator().manual_seed(1)
    drawn = torch.stack([head.draw(raw[0], 1.0, generator) for _ in range(3000)])
    often = (drawn.unsqueeze(1) == every).all(-1).double().mean(0)
    assert (often - chances).abs().max() < 0.03  # 0.009 is one deviation of a share of a half
    # colder draws are the likeliest frame
    cold = head.draw(raw[0], 1e-4, generator)
    alone = [float(head.nats(raw[0], torch.where(torch.arange(4) == i, 1 - cold, cold))) for i in range(4)]
    assert kind is Chained or all(each >= float(head.nats(raw[0], cold)) for each in alone)


def test_a_mixture_is_a_density_in_units_of_the_data():
    torch.manual_seed(0)
    head = Mixture(2, 3, math.log(2.0) + math.log(5.0))
    raw = torch.randn(head.size)
    line = torch.linspace(-12, 12, 201)
    places = torch.cartesian_prod(line, line)
    density = torch.exp(-head.nats(raw.expand(len(places), -1), places))
    # a step of the grid is 2 and 5 times as long in the data's own units
    assert float(density.double().sum()) * (24 / 200 * 2) * (24 / 200 * 5) == pytest.approx(1, abs=1e-3)
    weights, mean, width = head.parts(raw)
    generator = torch.Generator().manual_seed(1)
    drawn = torch.stack([head.draw(raw, 1.0, generator) for _ in range(2000)])
    torch.testing.assert_close(drawn.mean(0), head.expected(raw, drawn[:1].squeeze(0)), atol=0.2, rtol=0)
    assert width.exp().max() < 20 and weights.shape == (3,) and mean.shape == (3, 2)


def test_simple_figures_by_hand():
    rows = [torch.tensor([[1.0], [1.0], [0.0], [1.0]])]
    simple = Switches.learned(rows)
    often = 3.5 / 5
    on, off = 1.5 / 3, 1.5 / 2  # on after on: 1 of 2, on after off: 1 of 1, half a count each
    alone, last = simple.nats(rows[0], None)
    assert alone.tolist() == pytest.approx([-math.log(p) for p in (often, often, 1 - often, often)])
    assert last.tolist() == pytest.approx([-math.log(p) for p in (often, on, 1 - on, off)])
    assert simple.nats(rows[0][2:], torch.ones(1))[1].tolist() == pytest.approx([-math.log(1 - on), -math.log(off)])

    row = torch.tensor([[0.0], [3.0], [-1.0]], dtype=torch.float64)
    walks = Walks.learned([row], math.log(2.0))
    spread = math.sqrt((9 + 16) / 2)
    alone, last = walks.nats(row, None)

    def bell(x, deviation):
        return 0.5 * (x / deviation) ** 2 + math.log(deviation * math.sqrt(2 * math.pi)) + math.log(2.0)

    assert alone.tolist() == pytest.approx([bell(0, 1), bell(3, 1), bell(-1, 1)])
    assert last.tolist() == pytest.approx([bell(0, 1), bell(3, spread), bell(-4, spread)])


@pytest.mark.parametrize("kind", [Independent, Chained])
def test_a_network_begins_with_what_is_simple(kind):
    rows = [torch.from_numpy(row).float() for row in rounds(6)]
    head = kind(4).double().requires_grad_(False)
    bias, weight, first = head.begun(rows)
    raw = bias + rows[0][:-1].double() @ weight.T
    said = head.nats(torch.cat([first.unsqueeze(0), raw]), rows[0].double().to(raw.dtype))
    torch.testing.assert_close(said, Switches.learned(rows).nats(rows[0].double(), None)[1])


def test_a_mixture_begins_with_the_best_line():
    rows = [torch.from_numpy(row - row.mean(0)) for row in waves(6)]
    rows = [row / torch.cat(rows).std(0, correction=0) for row in rows]
    head = Mixture(2, 1, 0.0)
    bias, weight, first = head.begun(rows)
    before, now = torch.cat([row[:-1] for row in rows]), torch.cat([row[1:] for row in rows])
    for channel in range(2):
        slope = np.linalg.lstsq(before[:, channel : channel + 1].numpy(), now[:, channel].numpy())[0][0]
        assert float(weight[1 + channel, channel]) == pytest.approx(slope)
    said = head.nats(bias + before @ weight.T, now).mean()
    assert said < Walks.learned(rows, 0.0).nats(rows[0], None)[1][1:].mean() + 0.3
    assert float(head.nats(first, torch.zeros(2))) == pytest.approx(math.log(2 * math.pi), abs=1e-5)


def test_intervals_of_scores_by_hand():
    network = [torch.full((2,), 1.0), torch.full((4,), 3.0), torch.zeros(0)]
    score = score_pieces(network, {"a": [torch.full((2,), 4.0), torch.full((4,), 4.0), torch.zeros(0)]})
    assert (score.pieces, score.steps) == (2, 6)
    mean = 14 / 6
    error = math.sqrt(((2 - 2 * mean) ** 2 + (12 - 4 * mean) ** 2) * 2 / 1) / 6
    assert (score.network.nats, score.network.high) == pytest.approx((mean, mean + student(1) * error))
    assert score.saved.nats == pytest.approx(4 - mean) and score.warning is None
    one = score_pieces([torch.ones(3)], {"a": [torch.zeros(3)]})
    assert "does not beat 'a'" in one.warning and not any("from" in name for name in one.figures())


def test_intervals_cover():
    """Of 600 samples of few pieces each the interval holds the mean about 95 times in 100."""
    assert [student(n) for n in (3, 10, 30)] == pytest.approx([3.182, 2.228, 2.042], rel=0.01)  # from a table
    draw, inside = np.random.default_rng(0), 0
    for _ in range(600):
        rows = [torch.full((n,), draw.normal(1.0)) for n in draw.integers(20, 50, 6)]
        figure = score_pieces(rows, {"a": rows}).network
        inside += figure.low <= 1 <= figure.high
    assert 0.92 < inside / 600 < 0.98


def test_it_learns_and_says_so(player):
    model, out = player
    assert model.form.kind == "binary" and sorted(p.name for p in out.parent.iterdir()) == [
        "rounds.csv", "rounds.elman", "rounds.html", "rounds.png", "rounds.roll.png"]  # fmt: skip
    score = model.score(rounds(20, seed=1))
    assert score.warning is None and score.network.nats < 0.5 < 1.5 < score.simple["by the last step"].nats
    assert score.network.low < score.network.nats < score.network.high and score.saved.low > 0
    made = model.sample(30, seed=1)
    order = made.argmax(1)
    assert ((order[1:] - order[:-1]) % 4 == 1).float().mean() > 0.8
    assert made.shape == (30, 4) and torch.equal(made, model.sample(30, seed=1)) and model.sample(0).shape == (0, 4)


def test_a_prompt_is_gone_on_from(player):
    model, _ = player
    for first in range(4):
        made = model.sample(3, prompt=np.eye(4)[[first, (first + 1) % 4]], seed=0)
        assert made.argmax(1).tolist() == [(first + n) % 4 for n in (2, 3, 4)]


def test_figures_are_those_of_the_steps(player, surfer):
    for model, pieces in ((player[0], rounds(5, seed=2)), (surfer, waves(5, seed=2))):
        found = model.surprise([*pieces, np.zeros((0, pieces[0].shape[1])), pieces[0][:1]])
        assert [len(each) for each in found] == [*(len(row) for row in pieces), 0, 1]
        total = sum(float(each.double().sum()) for each in found[:5]) / sum(len(each) for each in found[:5])
        assert model.score(pieces).network.nats == pytest.approx(total, rel=1e-6)
        # a piece does not depend on its neighbours, nor a step on those after it
        alone = model.surprise([pieces[3][:4]])[0]
        torch.testing.assert_close(found[3][:4], alone, atol=1e-5, rtol=1e-5)
        states, expected = model.states(pieces), model.expected(pieces)
        assert [each.shape for each in states] == [(len(row), 16) for row in pieces]
        assert [each.shape for each in expected] == [row.shape for row in pieces]
        for back, row in zip(model.frames(pieces), pieces, strict=True):
            np.testing.assert_allclose(back.numpy(), row, atol=1e-5)


def test_real_channels_keep_their_units(surfer):
    score = surfer.score(waves(10, seed=1))
    assert surfer.form.kind == "real" and score.saved.low > 0
    made = surfer.sample(60, seed=0)
    assert 35 < made[:, 0].min() < made[:, 0].max() < 65 and made[:, 1].abs().max() < 0.05
    expected = torch.cat([each[5:] for each in surfer.expected(waves(5, seed=3))])
    given = torch.cat([torch.from_numpy(row[5:]) for row in waves(5, seed=3)])
    assert float((expected[:, 0] - given[:, 0]).square().mean().sqrt()) < 3  # its deviation is 7


@pytest.mark.slow
def test_other_units_change_the_figure_by_their_logarithm():
    scaled = MusicModel(**SMALL).fit([row * [1, 1000] for row in waves(20)], threads=1)
    plain = MusicModel(**SMALL).fit(waves(20), threads=1)
    more = scaled.score([row * [1, 1000] for row in waves(5, seed=1)]).network.nats
    assert more - plain.score(waves(5, seed=1)).network.nats == pytest.approx(math.log(1000), abs=2e-2)


def test_it_comes_back_from_its_file(player, surfer, tmp_path):
    for model, pieces in ((player[0], rounds(4, seed=3)), (surfer, waves(4, seed=3))):
        model.save(tmp_path / "m.elman")
        back = elman.load(tmp_path / "m.elman")
        assert type(back) is MusicModel and back.configuration() == model.configuration() and back.form == model.form
        assert back.score(pieces) == model.score(pieces) and back.checked == model.checked
        assert torch.equal(back.sample(5, seed=0), model.sample(5, seed=0))
    with pytest.raises(DataError, match="a model of the job 'classify', got one of 'music'"):
        ClassifyModel.load(tmp_path / "m.elman")


@pytest.mark.slow
def test_it_resumes(tmp_path, monkeypatch):
    """Stopped in its second epoch, with pieces that are moved, it goes on there and ends in the same weights."""
    from elman.training.learner import Learner

    pieces, options = rounds(12), {**SMALL, "updates": 4, "transpose": 1, "dropout": 0.2, "channels": ()}
    whole = MusicModel(**options).fit(pieces, threads=1)
    step, seen = Learner.training_step, []

    def stopping(self, batch):
        seen.append(batch[0])
        self.stop_asked = len(seen) == 6
        return step(self, batch)

    monkeypatch.setattr(Learner, "training_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        MusicModel(**options).fit(pieces, out=tmp_path / "m.elman", threads=1)
    assert (tmp_path / "m.elman.resume").is_file()
    again = MusicModel(**options).fit(pieces, out=tmp_path / "m.elman", threads=1, resume=True)
    assert seen == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]  # of each epoch, none twice
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, again.network.state_dict()[name]), name


def test_batches_start_anywhere():
    parts = [Part(None, torch.eye(6)[: n + 1]) for n in range(5)]
    passes = Passes(Padded([len(p.frames) for p in parts], list, 2, 3), parts, 3, still, 3)
    every = list(passes.starting_at(0, 1))
    assert len(every) == len(passes) == 9
    for at in (1, 4, 8):
        (first, *_) = passes.starting_at(at, 1)
        assert all(torch.equal(a, b) for a, b in zip(first, every[at], strict=True))
    assert sum(int(batch.lengths.sum()) for batch in every) == 3 * sum(range(1, 6))
    for whole, one, other in zip(every, *(passes.starting_at(0, 1, (k, 2)) for k in (0, 1)), strict=True):
        assert one.lengths[0] == whole.lengths[0] and (other is None or other.lengths[0] == whole.lengths[1])
        assert len(one.lengths) + (0 if other is None else len(other.lengths)) == len(whole.lengths)


def test_windows_and_splits():
    row = torch.arange(14.0).reshape(7, 2)
    parts = windows_of([Part(None, row), Part(row[0], row[1:3], 1)], 3)
    assert [len(part.frames) for part in parts] == [3, 2, 2, 2] and [part.at for part in parts] == [0, 3, 5, 1]
    assert parts[0].first is None and torch.equal(parts[1].first, row[2]) and torch.equal(parts[3].first, row[0])
    assert torch.equal(torch.cat([part.frames for part in parts[:3]]), row)
    empty = torch.zeros(0, 2)
    learned, kept, cut = split_parts([row, empty, row, row], 0.1, 0)
    assert len(learned) == 2 and len(kept) == 1 and not {1} & {*learned, *kept} and cut is None
    assert split_parts([empty, row], 0.3, 0) == ([1], [1], 5) and split_parts([row, row], 0, 0) == ([0, 1], [], None)
    with pytest.raises(DataError, match="a piece of 3 steps or more, got 2"):
        split_parts([row[:2]], 0.5, 0)


def test_what_is_moved_keeps_its_shape():
    frames = torch.tensor([[0, 1, 0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0, 1, 0]], dtype=torch.float32)
    seen = set()
    for seed in range(40):
        part = moved(3, 2, Part(frames[0], frames, 5), torch.Generator().manual_seed(seed))
        keys, struck = part.frames[:, :4], part.frames[:, 4:]
        assert torch.equal(keys, struck) and torch.equal(part.first, part.frames[0]) and part.at == 5
        seen.add(tuple(keys.argmax(1).tolist()))
    assert seen == {(0, 1), (1, 2), (2, 3)}  # and never round the end


def test_music_from_midi_files(tmp_path):
    keyboard = Keyboard(60, 72, 2)
    for number in range(4):
        frames = torch.zeros(24, 26)
        for step in range(24):
            frames[step, [(step + number) % 4 * 2, 13 + (step + number) % 4 * 2]] = 1
        (tmp_path / f"{number}.mid").write_bytes(write_midi(frames, keyboard, 75))
    options = {**SMALL, "resolution": 2, "lowest": 60, "highest": 72, "frame": "independent"}
    model = MusicModel(**options).fit(tmp_path, out=tmp_path / "m.elman", threads=1)
    assert model.form.keyboard == keyboard and model.form.tempo == pytest.approx(75, abs=1e-3)
    made = model.sample(16, prompt=tmp_path / "0.mid", seed=0)
    model.write(made, tmp_path / "new.mid")
    back = model.frames(tmp_path / "new.mid")[0]
    sounding = made[:, :13].maximum(made[:, 13:])
    assert torch.equal(back[:, :13], sounding[: len(back)]) and not sounding[len(back) :].any()
    model.write(made, tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_text().startswith("C4,C#4,")
    model.write(made, tmp_path / "new.npy")
    assert np.array_equal(np.load(tmp_path / "new.npy"), made.numpy())
    with pytest.raises(ArgumentError, match=r"ends in .mid, .csv or .npy, got '.wav'"):
        model.write(made, tmp_path / "new.wav")


def test_a_single_piece_and_time_in_double_precision():
    wave = waves(1)[0].repeat(3, 0)
    model = MusicModel(**(SMALL | {"window": 20})).fit(wave, threads=1)
    assert model.about["pieces"] == model.about["pieces for validation"] == 1 and model.checked["steps"] == 9
    with pytest.raises(ArgumentError, match="model of keys to write or read MIDI, got one of 2 real channels"):
        model.write(wave, "x.mid")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        double = MusicModel(**(SMALL | {"epochs": 1})).fit(waves(6), threads=1)
        assert double.network.readout.weight.dtype == torch.float64
        assert double.surprise(waves(1))[0].dtype == double.sample(3, seed=0).dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("real", [True, False])
def test_pieces_of_one_step(real):
    pieces = [np.eye(3)[[n % 3]] + 0.5 * n * real for n in range(12)]
    model = MusicModel(**(SMALL | {"epochs": 1, "updates": 2})).fit(pieces, threads=1)
    assert model.form.kind == ("real" if real else "binary") and math.isfinite(model.checked["nats per step"])
    assert model.sample(1, seed=0).isfinite().all() and model.states(pieces)[0].shape == (1, 16)


@pytest.mark.parametrize("cell", ["gru", "lstm", "elman"])
@pytest.mark.parametrize("layers", [1, 2])
def test_other_networks_and_own_validation(cell, layers):
    options = SMALL | {"epochs": 1, "updates": 2, "cell": cell, "layers": layers, "dropout": 0.3}
    model = MusicModel(**options).fit(rounds(6), validation_data=rounds(3, seed=5), threads=1)
    assert model.about["pieces"] == 6 and model.about["pieces for validation"] == 3
    assert model.checked["nats per step"] == pytest.approx(model.score(rounds(3, seed=5)).network.nats)
    # step by step it says what it says of the whole
    frames = torch.tensor(rounds(1)[0], dtype=torch.float32)
    state, found = None, []
    for step in range(len(frames)):
        before = frames[step - 1] if step else torch.zeros(4)
        with torch.no_grad():
            raw, _, state = model.network(before.reshape(1, 1, 4), torch.tensor([step]), state)
            found.append(model.network.head.nats(raw[0, 0], frames[step]))
    torch.testing.assert_close(torch.stack(found), model.surprise([frames])[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "data", "error", "said"),
    [
        ({}, [np.ones((5, 3))] * 4, DataError, "numbers that change, got 1 at every step of every channel"),
        (
            {},
            {"a": [1.5, 2, 3] * 9, "b": [7.5] * 27},
            DataError,
            "at every step of the channel 'b': leave it out",
        ),
        ({"kind": "binary"}, waves(3), DataError, "the piece '0', step 0, channel '0': expected 0 or 1, got"),
        ({"kind": "midi"}, None, ArgumentError, "kind to be one of auto, binary, real, notes, got 'midi'"),
        ({"frame": "nade"}, None, ArgumentError, "frame to be one of chained, independent, got 'nade'"),
        ({"transpose": 2}, waves(3), ArgumentError, "real channels are no keys"),
        ({"transpose": -1}, None, ArgumentError, "transpose >= 0"),
        ({"lowest": 90, "highest": 20}, None, ArgumentError, "lowest <= highest"),
        ({"components": 0}, None, ArgumentError, "components >= 1"),
        ({"cell": "gre"}, None, ArgumentError, "cell to be one of"),
        ({"input": "a", "channels": ("b",)}, None, ArgumentError, "drop one"),
    ],
)
def test_what_cannot_be_learned(options, data, error, said):
    with pytest.raises(error, match=said):
        MusicModel(**(SMALL | options)).fit(data, threads=1)


def test_what_a_model_cannot_read(player, surfer):
    model, _ = player
    with pytest.raises(DataError, match="the 4 channels 0, 1, 2, 3 of the training, got 3: 0, 1, 2"):
        model.score([np.eye(3)])
    with pytest.raises(DataError, match=r"step 1, channel '2': expected 0 or 1, got 0\.5: the kind is binary"):
        model.sample(3, prompt=np.array([[0, 0, 0, 1], [0, 0, 0.5, 0]]))
    for wrong in ({"temperature": 0.0}, {"steps": -1}, {"seed": -1}):
        with pytest.raises(ArgumentError, match="expected"):
            model.sample(**wrong)
    with pytest.raises(NumericsError, match="beyond all numbers at step 1: lower"):
        surfer.sample(2, temperature=1e39, seed=0)
    with pytest.raises(ArgumentError, match="has not been trained yet"):
        MusicModel().sample()
    table = {"rain": [1.5, 2, 3, 1] * 9, "wind": [2.5, 2, 3, 2] * 9}
    named = MusicModel(**(SMALL | {"epochs": 1})).fit(table, threads=1)
    with pytest.raises(DataError, match="'rain' for a channel: did you mean 'Rain'"):
        named.score({"Rain": [1.5, 2], "wind": [2.5, 2]})
    assert len(named.surprise({"more": [1, 1], "wind": [2.5, 2], "rain": [1.5, 2]})[0]) == 2


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keyboard = Keyboard(60, 71, 1)
    for number in range(5):
        frames = torch.eye(12)[(torch.arange(16) + number) % 12].repeat(1, 2)
        (tmp_path / f"{number}.mid").write_bytes(write_midi(frames, keyboard, 75))

    def run(*words, code=0):
        done = CliRunner().invoke(cli.app, ["music", *map(str, words)])
        assert done.exit_code == code, done.output
        return done.output

    sizes = ["--hidden-size", 8, "--epochs", 1, "--updates", 3, "--resolution", 1, "--lowest", 60, "--highest", 71]
    told = run("fit", "0.mid", "1.mid", "2.mid", "3.mid", "--validation-data", "4.mid", *sizes, "--threads", 1)
    assert "4 pieces, and 1 to check with" in told and "nats per step" in told and "model.roll.png" in told
    run(
        "sample",
        "model.elman",
        "--out",
        "n.mid",
        "--steps",
        8,
        "--prompt",
        "4.mid",
        "--prompt-steps",
        3,
        "--picture",
        "n.png",
    )
    assert (tmp_path / "n.png").read_bytes().startswith(b"\x89PNG")
    rows = run("sample", "model.elman", "--steps", 5, "--seed", 1).splitlines()
    assert len(rows) == 6 and rows[0].startswith("C4,") and set(rows[1].split(",")) <= {"0", "1"}
    assert json.loads(run("score", "model.elman", "4.mid", "--json"))["steps"] == 16
    told = json.loads(run("fit", "0.mid", "1.mid", *sizes, "--out", "o.elman", "--json", "--threads", 1))
    assert told["pieces"] == 1
    with pytest.raises(DataError, match=r"none.mid: expected a MIDI file, found nothing"):
        CliRunner().invoke(cli.app, ["music", "fit", "none.mid"], catch_exceptions=False)


def test_what_it_cannot_go_on_from(player, tmp_path):
    model, out = player
    pieces = tmp_path / "pieces.jsonl"
    pieces.write_text('{"roll": []}\n{"roll": [[1, 0, 0, 0]]}\n')
    said = r"pieces\.jsonl: expected a first piece with steps to go on from, got an empty one"
    with pytest.raises(DataError, match=said):
        model.sample(3, prompt=pieces)
    done = CliRunner().invoke(cli.app, ["music", "sample", str(out), "--prompt", str(pieces), "--steps", "3"])
    assert done.exit_code and isinstance(done.exception, DataError) and "pieces.jsonl: expected" in str(done.exception)
    with pytest.raises(ArgumentError, match="expected a tempo of 3"):
        model.write(model.sample(3, seed=0), tmp_path / "new.mid", tempo=0)


@pytest.mark.slow
def test_a_model_worse_than_what_is_simple_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    np.savez("coins.npz", **{str(n): draw.integers(0, 2, (9, 3)) for n in range(12)})
    wild = ["--hidden-size", 8, "--epochs", 1, "--updates", 5, "--learning-rate", 1.0, "--threads", 1]

    def run(*words):
        done = CliRunner().invoke(cli.app, ["music", *map(str, words)])
        assert done.exit_code == 0, done.output
        return done.output

    assert "Warning: the model does not beat" in run("fit", "coins.npz", *wild)
    assert "Warning: the model does not beat" in run("score", "model.elman", "coins.npz")
    for words, pieces in ((("score", "model.elman", "coins.npz"), 12), (("fit", "coins.npz", *wild), 1)):
        told = json.loads(run(*words, "--json"))
        assert told["warning"].startswith("the model does not beat") and told["pieces"] == pieces


def test_what_a_frame_is_comes_back_from_plain_values():
    for keyboard in (None, Keyboard(60, 61, 2)):
        form = Form("binary", ("a", "b"), False, keyboard, 90.0, (0.0, 0.0), (1.0, 1.0))
        assert Form.from_json(json.loads(json.dumps(form.to_json()))) == form

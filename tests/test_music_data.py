"""Pieces: MIDI there and back, arrays, tables, what cannot be read; the tunes that come along."""

import io
import json

import mido
import numpy as np
import pytest
import torch

from elman.data import Keyboard, PieceColumns, notes_of, read_midi, read_pieces, write_midi
from elman.errors import ArgumentError, DataError
from elman.tasks.music.tunes import TUNES, bar_length, builtin_tunes

KEYS = Keyboard(lowest=60, highest=64, resolution=2)


def saved(path, *messages, ticks=100, kind=1, tracks=None):
    """A MIDI file of messages (delta ticks in `time`)."""
    lists = tracks or [messages]
    mido.MidiFile(type=kind, ticks_per_beat=ticks, tracks=[mido.MidiTrack(list(some)) for some in lists]).save(path)
    return path


def on(key, time=0, channel=0, velocity=64):
    return mido.Message("note_on", note=key, velocity=velocity, time=time, channel=channel)


def drawn(steps, keyboard, seed=0):
    """Random frames that a file can hold: where a key is struck it sounds, and what begins is struck."""
    draw = torch.Generator().manual_seed(seed)
    sounds = (torch.rand(steps, keyboard.keys, generator=draw) < 0.4).float()
    sounds[0, 0] = sounds[-1, 0] = 1
    begins = sounds * (1 - torch.cat([torch.zeros(1, keyboard.keys), sounds[:-1]]))
    again = sounds * (torch.rand(steps, keyboard.keys, generator=draw) < 0.3)
    return torch.cat([sounds, torch.maximum(begins, again)], 1) if keyboard.attacks else sounds


@pytest.mark.parametrize("resolution", [1, 4, 7, 96])
@pytest.mark.parametrize("attacks", [True, False])
def test_midi_there_and_back(tmp_path, resolution, attacks):
    keyboard = Keyboard(lowest=40, highest=70, resolution=resolution, attacks=attacks)
    frames = drawn(50, keyboard)
    (tmp_path / "a.mid").write_bytes(write_midi(frames, keyboard, 97.0))
    back = read_midi(tmp_path / "a.mid", keyboard)
    assert torch.equal(back.frames, frames) and back.tempo == pytest.approx(97, abs=1e-3)
    assert (back.outside, back.drums) == (0, 0)


def test_midi_on_the_grid(tmp_path):
    """Notes by hand: to the nearest step, one step at least; velocity 0 ends them; drums and far keys are counted."""
    file = saved(
        tmp_path / "a.mid",
        tracks=[
            [mido.MetaMessage("set_tempo", tempo=600_000), mido.MetaMessage("set_tempo", tempo=300_000, time=50)],
            # 2 steps a beat of 100 ticks: a step is 50 ticks
            [on(60), on(60, 120, velocity=0), on(61, 4), on(61, 3, velocity=0), on(99), on(38, channel=9)],
            [on(64, 20), on(64, 130)],
        ],
    )
    found = read_midi(file, KEYS)
    assert (found.tempo, found.outside, found.drums) == (100.0, 1, 1)
    # 60: ticks 0 to 120; 61: 124 to 127; 64: 20 to 150, and again without an end
    assert sorted(notes_of(found.frames, KEYS)) == [(0, 2, 60), (0, 3, 64), (2, 3, 61), (3, 4, 64)]
    assert found.frames.shape == (4, 10)


def test_silent_bars_before_the_music_go(tmp_path):
    three = mido.MetaMessage("time_signature", numerator=3, denominator=4)
    # the fourth beat begins the second bar of three; one beat of silence in it stays
    file = saved(tmp_path / "a.mid", three, on(60, 400), on(60, 100, velocity=0))
    assert read_midi(file, KEYS).frames[:, 0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("ticks", [1, 40_000, 0xFFFFFF])
def test_a_tempo_that_a_file_has_can_be_written(tmp_path, ticks):
    file = saved(tmp_path / "a.mid", mido.MetaMessage("set_tempo", tempo=ticks), on(60), on(60, 100, velocity=0))
    tempo = read_midi(file, KEYS).tempo
    (tmp_path / "b.mid").write_bytes(write_midi(drawn(9, KEYS), KEYS, tempo))
    assert read_midi(tmp_path / "b.mid", KEYS).tempo == tempo == 60e6 / ticks
    for wrong in (0.0, 3.5, 7e7, float("nan")):
        with pytest.raises(ArgumentError, match=r"a tempo of 3\.58 to 60,000,000 beats a minute, got"):
            write_midi(drawn(9, KEYS), KEYS, wrong)


def test_repeated_notes_need_attacks():
    frames = torch.zeros(4, 10)
    frames[:, 0] = 1
    frames[[0, 2], 5] = 1
    assert list(notes_of(frames, KEYS)) == [(0, 2, 60), (2, 4, 60)]
    plain = Keyboard(60, 64, 2, attacks=False)
    assert list(notes_of(frames[:, :5], plain)) == [(0, 4, 60)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no music", "a MIDI file, got one that cannot be read"),
        (b"", "a MIDI file, got one that cannot be read"),
        (b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk\0\0\0\x20\0\x90", "a MIDI file, got one that cannot be read"),
    ],
)
def test_what_is_no_midi_file(tmp_path, content, said):
    (tmp_path / "a.mid").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_midi(tmp_path / "a.mid", KEYS)


def test_midi_that_has_no_beats(tmp_path):
    with pytest.raises(DataError, match=r"do not run together \(type 2\)"):
        read_midi(saved(tmp_path / "a.mid", on(60), kind=2), KEYS)
    with pytest.raises(DataError, match=r"at most 1,000,000 steps, got \d.*smaller resolution"):
        read_midi(saved(tmp_path / "b.mid", on(60), on(60, 2**27, velocity=0), ticks=1), KEYS)
    with pytest.raises(ArgumentError, match="to 60,000,000 beats a minute, got 2"):
        write_midi(torch.zeros(3, 10), KEYS, 2)
    with pytest.raises(ArgumentError, match=r"frames \[T, 10\], got \[3, 5\]"):
        write_midi(torch.zeros(3, 5), KEYS, 100)
    for wrong in ({"lowest": 70, "highest": 60}, {"highest": 128}, {"resolution": 0}):
        with pytest.raises(ArgumentError, match="expected"):
            Keyboard(**wrong)


def test_pieces_of_all_kinds_are_the_same(tmp_path):
    rows = [np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[2, 2]]]
    np.savez(tmp_path / "a.npz", x=rows[0], y=rows[1])
    lists = [{"name": "x", "roll": rows[0].tolist()}, {"name": "y", "roll": rows[1].tolist()}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lists)))
    steps = ["name,a,b,c", *(f"{name},{a},{b},{c}" for name, r in zip("xy", rows, strict=True) for a, b, c in r)]
    (tmp_path / "a.csv").write_text("\n".join(steps))
    columns = PieceColumns(id="name")
    for source in (rows, tmp_path / "a.npz", tmp_path / "a.jsonl", tmp_path / "a.csv", lists):
        found = read_pieces(source, KEYS, columns)
        assert [row.tolist() for row in found.rows] == [row.tolist() for row in rows]
    assert found.names == ("x", "y") and read_pieces(tmp_path / "a.csv", KEYS, columns).channels == ("a", "b", "c")
    np.save(tmp_path / "b.npy", np.stack([rows[0], rows[0]]))
    assert [len(row) for row in read_pieces(tmp_path / "b.npy", KEYS).rows] == [4, 4]
    assert len(read_pieces(torch.eye(3), KEYS).rows) == 1


def test_folders_and_several_files(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("b.mid", "in/a.MID", "notes.txt"):
        (tmp_path / name).write_bytes(write_midi(drawn(9, KEYS), KEYS, 90))
    found = read_pieces(tmp_path, KEYS)
    assert found.names == ("b", "a") and found.tempo == pytest.approx(90, abs=1e-3) and found.keyboard == KEYS
    assert len(read_pieces([tmp_path / "b.mid", tmp_path / "in"], KEYS).rows) == 2
    np.save(tmp_path / "b.npy", np.eye(3))
    with pytest.raises(DataError, match=r"b.npy: expected the 10 channels of .*b.mid, got 3"):
        read_pieces([tmp_path / "b.mid", tmp_path / "b.npy"], KEYS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"a folder with MIDI files \(.mid, .midi\), found none"):
        read_pieces(tmp_path / "empty", KEYS)


def test_lists_of_keys():
    rows = [{"train": [[60, 64], [], [63, 99]]}, {"train": []}]
    found = read_pieces(rows, KEYS, PieceColumns(notes=True))
    assert found.rows[0].tolist() == [[1, 0, 0, 0, 1], [0] * 5, [0, 0, 0, 1, 0]] and len(found.rows[1]) == 0
    assert found.left_out == ("1 notes outside the keys 60 to 64",)
    with pytest.raises(DataError, match=r"'train', row 0: expected frames, .* with kind notes"):
        read_pieces(rows, KEYS)
    with pytest.raises(DataError, match="row 0, step 1: expected numbers of keys, 0 to 127, got 128"):
        read_pieces([{"x": [[3], [128]]}], KEYS, PieceColumns(notes=True))


class Hostile:
    """An object that would run code if it were unpickled."""

    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    ("source", "columns", "said"),
    [
        ([np.eye(3), np.eye(2)], {}, "the piece '1': expected 3 numbers a frame, got 2"),
        ([[[1, 2], [3, float("nan")]]], {}, "the piece '0', step 1, channel '1': expected a number, got nan"),
        ([[[1, 2], [3, float("-inf")]]], {}, "step 1, channel '1': expected a number, got -inf"),
        ([np.zeros((0, 3)), np.zeros((0, 3))], {}, "list: expected pieces with steps, got 2 empty ones"),
        ([np.zeros(3)], {}, r"frames \[T, I\] or pieces \[N, T, I\], got \[3\]"),
        ([["a", "b"]], {}, r"the piece '0': expected numbers \[T, I\]"),
        ({"a": [1, 2], "word": ["x", "y"]}, {}, "columns of numbers alone, got 'word': name the channels"),
        (
            {"a": [1, 2], "word": ["x", "y"]},
            {"channels": ("word",)},
            "'word': expected numbers, got String, 'x' in row 0",
        ),
        ({"a": [1, None]}, {}, "the piece 'all', step 1, channel 'a': expected a number, got nan"),
        ({"rain": [1, 2]}, {"channels": ("rein",)}, "'rein' for a channel: did you mean 'rain'"),
        ({"roll": [[[1]]]}, {"input": "rolls"}, "'rolls' for the frames: did you mean 'roll'"),
        ({"rain": [1, 2], "well": ["x", "x"]}, {"id": "wel"}, "'wel' for the pieces: did you mean 'well'"),
        ({"rain": [1, 2, 3], "well": ["x", None, "x"]}, {"id": "well"}, "'well', row 1: expected an id, got nothing"),
        ({"roll": [[[1]], [[0]]], "well": [None, "x"]}, {"id": "well"}, "'well', row 0: expected an id, got nothing"),
        ({"a": [[[1]]], "b": [[[1]]]}, {}, r"which column is read \(input\): there are 'a', 'b'"),
        ({"a": [[[[1]]]]}, {}, r"'a', row 0: expected frames \[T, I\], got axes \[1, 1, 1\]"),
    ],
)
def test_pieces_that_cannot_be_read(source, columns, said):
    with pytest.raises(DataError, match=said):
        read_pieces(source, KEYS, PieceColumns(**columns))


def test_arrays_are_never_unpickled(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.array([Hostile()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", np.array([Hostile()], dtype=object))
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY")
    for name in ("a.npy", "a.npz", "b.npy", "none.npy"):
        with pytest.raises(DataError, match=f"{name}: expected"):
            read_pieces(tmp_path / name, KEYS)
    assert "unpickled" not in capsys.readouterr().out


def test_every_bar_of_the_tunes_is_whole():
    assert len(TUNES) > 40 and len({tune.name for tune in TUNES}) == len(TUNES)
    for tune in TUNES:
        bars = [bar_length(bar) for bar in tune.melody.split("|")]
        assert all(length == tune.bar for length in bars[1:-1]), tune.name
        assert bars[0] <= tune.bar and bars[-1] <= tune.bar, tune.name
        assert len(bars) - len(tune.chords.split()) == (bars[0] < tune.bar), tune.name


def test_a_tune_by_hand():
    keyboard = Keyboard()
    pieces = builtin_tunes(keyboard)
    frames = pieces.rows[pieces.names.index("Frère Jacques")]
    played = sorted((start, end, key) for start, end, key in notes_of(frames, keyboard) if key >= 60)
    # C D E C, C D E C in quarters, of four steps each
    assert played[:8] == [(4 * n, 4 * n + 4, key) for n, key in enumerate([60, 62, 64, 60, 60, 62, 64, 60])]
    assert sorted(key for start, _, key in notes_of(frames, keyboard) if start == 0 and key < 60) == [48, 52, 55]
    assert io.BytesIO(write_midi(frames, keyboard, 100)).read(4) == b"MThd"
    # F sharp of the key of G, upbeat of a quarter in a bar of three
    grace = pieces.rows[pieces.names.index("Amazing Grace")]
    assert min(start for start, _, _ in notes_of(grace, keyboard)) == 8
    wish = pieces.rows[pieces.names.index("We Wish You a Merry Christmas")]
    assert {key % 12 for _, _, key in notes_of(wish, keyboard) if key >= 60} == {2, 4, 6, 7, 9, 11, 0}


def test_a_folder_goes_on_without_files_that_cannot_be_read(tmp_path):
    for name in "ac":
        (tmp_path / f"{name}.mid").write_bytes(write_midi(drawn(9, KEYS), KEYS, 97.0))
    whole = (tmp_path / "a.mid").read_bytes()
    (tmp_path / "b.mid").write_bytes(whole[: len(whole) // 2])
    found = read_pieces(tmp_path, KEYS)
    assert found.names == ("a", "c")
    assert len(found.rows) == 2
    assert found.left_out[-1].startswith(f"1 file that cannot be read (first: {tmp_path / 'b.mid'}")
    with pytest.raises(DataError, match=r"b\.mid"):
        read_pieces(tmp_path / "b.mid", KEYS)
    for name in "ac":
        (tmp_path / f"{name}.mid").unlink()
    with pytest.raises(DataError, match=r"b\.mid"):
        read_pieces(tmp_path, KEYS)

"""The pure parts of the benchmarks: floors, means, rows."""

import numpy as np
import pytest
import torch
from bench.cases import ASKED, GRID, Case, Job
from bench.custom_grid import verdict
from bench.harness import Times
from bench.numbers import draw
from bench.peers.custom_torch import Functions
from bench.recipes import FIXED, drawn, numbers, recipe
from bench.report import Table, markdown
from bench.rows import HEADER, Measured, geometric_mean, means_table, peers_table, ratios_tables
from bench.turns import rounds_of

CASE = Case(100, 32, 256)


def measured(ours, peer, products, kind="training", cell="lstm"):
    seconds = {"elman.nn": ours, "slow": 3 * peer, "quick": peer, "products": products}
    times = {name: Times((s, s, s)) for name, s in seconds.items()}
    return Measured(Job(kind, cell, CASE), times, 1e11)


def test_the_grid_is_that_of_the_issue():
    assert len(GRID) == 9 and str(GRID[0]) == "100, 1, 64" and len(ASKED) == 6


def test_operations_of_an_lstm():
    # forward: [T B, I] x [I, 4 H] and [T B, H] x [H, 4 H]; the gradient takes each twice more
    forward = 2 * (100 * 32) * (256 * 1024) * 2
    assert Job("inference", "lstm", CASE).operations == forward
    assert Job("training", "lstm", CASE).operations == 3 * forward


def test_ratio_is_to_the_best_peer():
    m = measured(1.0, 2.0, 0.5)
    assert m.best == "quick" and m.ratio == 2.0 and m.of_products == 0.5 and m.met


def test_floor_is_the_smaller_of_what_is_asked_and_what_there_is_room_for():
    assert measured(1.0, 2.0, 0.5).floor == 1.1
    tight = measured(1.0, 1.0, 0.9)
    assert tight.room == pytest.approx(1.0) and tight.floor == tight.room and tight.met
    assert not measured(1.1, 1.0, 0.9).met


def test_share_of_products_is_asked_of_large_training_only():
    assert measured(1.0, 2.0, 0.5).rate_asked == 0.75
    assert measured(1.0, 2.0, 0.5, kind="inference").rate_asked is None
    assert "MISSED" in ratios_tables([measured(1.0, 2.0, 0.5)])[0].rows[0][5]


def test_geometric_mean():
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)


def test_losing_cases_come_first_and_rows_fit_their_header():
    done = [measured(1.0, 2.0, 0.1), measured(1.0, 0.5, 0.1)]
    (table,) = ratios_tables(done)
    assert [row[9] for row in table.rows] == ["0.50", "2.00"]
    assert [row[-1] for row in table.rows] == ["MISSED", "met"]
    for shown in (table, means_table(done), peers_table(done)):
        assert all(len(row) == len(shown.header) for row in shown.rows)
    assert table.header == HEADER
    assert means_table(done).rows[0][1:] == ("1.00", "1.7", "1.70", "MISSED", "1")


def test_room_lowers_the_mean_that_is_asked():
    (row,) = means_table([measured(1.0, 1.0, 0.9)]).rows
    assert row[2:5] == ("1.7", "1.00", "met")


def test_markdown():
    text = markdown(Table("title", ("a", "b"), (("1", "x|y"),), "note"))
    assert text == "### title\n\n| a | b |\n| --- | --- |\n| 1 | x\\|y |\n\nnote\n"


def test_verdict():
    assert verdict(8.0, 8.0) == "8.00 met" and verdict(1.5, 1.4, least=False) == "1.50 MISSED"


def test_rounds_are_many_for_the_short_and_three_for_the_long():
    assert rounds_of([0.001] * 2) == 15 and rounds_of([10.0]) == 3 and rounds_of([]) == 0


def test_numbers_are_the_same_for_everybody_and_padding_has_no_gradient():
    job = Job("training", "gru", Case(5, 3, 4), uneven=True)
    one, other = draw(job), draw(job)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert one["weight_ih"].shape == (12, 4)
    for row, length in enumerate(one["lengths"]):
        assert not one["g"][length:, row].any() and one["g"][:length, row].all()


@pytest.mark.parametrize("name", [*FIXED, *(f"drawn {seed}" for seed in range(10))])
def test_recipes_run(name):
    from types import SimpleNamespace

    job, made = Job("training", name, Case(1, 2, 3)), recipe(name)
    p = SimpleNamespace(**{key: torch.from_numpy(array) for key, array in numbers(job).items()})
    p = made.once(Functions, p)
    states = (torch.zeros(2, 3),) * made.states
    after = made.step(Functions, p, made.before(Functions, p, torch.ones(2, 3)), *states)
    assert [s.shape for s in after] == [(2, 3)] * made.states


def test_a_drawn_cell_is_repeated_by_its_seed():
    assert drawn(7).text == drawn(7).text != drawn(8).text

"""`make bench`: a cell of one's own against Python loops. bench.char_rnn takes minutes and is run by name."""

from . import custom_cell

for threads in ("1", "2"):
    custom_cell.main(["--threads", threads])

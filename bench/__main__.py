"""All tables that need no data of their own: `make bench`."""

from . import custom_cell

for threads in ("1", "2"):
    custom_cell.main(["--threads", threads])

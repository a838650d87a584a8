"""The music job: piano rolls and other vectors in time."""

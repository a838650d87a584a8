"""The translate job: a sequence to another one."""

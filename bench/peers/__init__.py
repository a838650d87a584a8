"""The contenders, a file each: `prepare(job, option, threads)` gives what is measured."""

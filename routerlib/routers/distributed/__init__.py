"""Train and apply a router on several machines, through dask (the extra ``cluster``)."""

"""Studies that measure the promises of docs/promises.md, one file per subject."""

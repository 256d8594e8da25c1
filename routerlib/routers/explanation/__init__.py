"""Why an estimate, and why this model and not that one."""

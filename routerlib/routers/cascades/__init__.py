"""Look at the answer before paying for a dearer one."""

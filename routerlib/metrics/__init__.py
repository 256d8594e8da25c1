"""Pure functions on arrays: curves and hulls, pairs, intervals, calibration, sample size."""

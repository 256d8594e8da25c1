"""Is it worth it: verdict, comparison, off-policy value, retraining, drift."""

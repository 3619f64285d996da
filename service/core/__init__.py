"""The numeric core: NumPy, SciPy and scikit-learn only. No I/O, clock, global random state or logging."""

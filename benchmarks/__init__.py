"""The package beside its peers and beside known truth; run as ``python -m benchmarks.<name>``."""

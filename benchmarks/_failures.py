"""What may go wrong with a fit, or with a simulation that its law leads away."""

from celltraj._errors import ConvergenceError, TrainingError

FAILURES = (ConvergenceError, TrainingError, ValueError)

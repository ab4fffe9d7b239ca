"""Names of the rows that stand beside the models in a table of scores.

Those of predictions without a model stand with these: ``TRIVIAL`` in ``holdout``, ``BASELINES`` in
``response_baselines``.
"""

FLOOR = "floor"  # random halves of what was held out
SELECTED = "selected"  # the model that nested selection takes
TRUTH = "truth"  # what is true of what was held out
SHUFFLED = ", shuffled phi"  # what is added to the name of a model that is told another population

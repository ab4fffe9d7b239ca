"""Names of the rows that stand beside the models in a table of scores.

Those of predictions without a model stand with these: ``TRIVIAL`` in ``holdout``, ``BASELINES`` in
``response_baselines``.
"""

FLOOR = "floor"  # random halves of what was held out
REPLICATES = "replicates"  # random halves of the samples of what was held out
SELECTED = "selected"  # the model that nested selection takes
TRUTH = "truth"  # what is true of what was held out
# what is added to the name of a model that is told of another population, one thing at a time
OTHER_EMBEDDING = " (other embedding)"
OTHER_NEIGHBOURHOOD = " (other neighbourhood)"
# that cells carry the features of another cell of their own population
OTHER_CELL = " (other cell)"
CONTROLS = (OTHER_EMBEDDING, OTHER_NEIGHBOURHOOD, OTHER_CELL)


def model_of(row: str) -> str:
    """Return the name of the model of a row, which may be told of another population.

    Examples
    --------
    >>> from celltraj.models.evaluation import model_of
    >>> model_of("mine (other embedding)"), model_of("mine")
    ('mine', 'mine')
    """
    for control in CONTROLS:
        row = row.removesuffix(control)
    return row

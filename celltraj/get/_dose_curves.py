"""Fit curves to responses over doses."""

from __future__ import annotations

import pandas as pd

from celltraj._checks import checked
from celltraj.models.evaluation import check_doses
from celltraj.models.evaluation import dose_curves as fitted


@checked
def dose_curves(responses: pd.DataFrame, *, n_bootstrap: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Fit dose-response curves: half-maximal dose, slope and area, with intervals over populations.

    ``E(c) = bottom + (top - bottom) / (1 + (k / c)^n)``, least squares for each population; the
    curve starts at the control, the dose of zero. Intervals are over populations, never over cells:
    these are drawn anew in a bootstrap.

    Parameters
    ----------
    responses
        Result of :func:`celltraj.tl.dose_response`, also from a file, with three doses at least.
    n_bootstrap
        Resamples of the populations.
    seed
        Seed of the resamples.

    Returns
    -------
    For each kind, readout and variable a row of every population, and one of
    ``"all populations"``: kind, readout, variable, population; half_dose ``k`` (unit of the doses)
    and slope ``n``, geometric means over populations; top, the effect of any amount; area, the mean
    over the logarithm of doses, from the least to the greatest, of what the effect is above the
    control; ``..._low`` and ``..._high`` of each, the 95 % interval over populations, NaN of a
    single one; is_extrapolated, whether a half-maximal dose lies outside the doses, where nothing
    was seen of it; n_curves, populations in which there is an effect.

    Raises
    ------
    TypeError
        ``responses`` is not a DataFrame.
    ValueError
        It lacks a column, a control or three doses, or ``n_bootstrap`` is below 2.

    References
    ----------
    Goutelle et al., *The Hill equation: a review of its capabilities in pharmacological modelling*
    (2008); Hesterberg, *What teachers should know about the bootstrap* (2015).

    Examples
    --------
    >>> import celltraj as ct, pandas as pd
    >>> responses = pd.DataFrame({
    ...     "population": "a", "condition": "drug", "dose": [0.0, 1.0, 2.0, 4.0],
    ...     "readout": "killed", "variable": "", "kind": "observed", "value": [0.0, 0.2, 0.4, 0.6],
    ... })
    >>> curves = ct.get.dose_curves(responses)
    >>> curves["population"].tolist(), bool(1 < curves["half_dose"].iloc[0] < 4)
    (['a', 'all populations'], True)
    """
    if n_bootstrap < 2:
        raise ValueError(f"n_bootstrap must be at least 2; found {n_bootstrap}")
    return fitted(check_doses(responses), n_bootstrap=n_bootstrap, seed=seed)

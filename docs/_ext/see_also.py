"""Point from what computes a result to what reads and what draws it, and back."""

# what belongs together: one line for each result
FAMILIES = (
    ("pp.check_times", "tl.which_model", "pl.snapshots"),
    ("pp.pca_model", "pp.project", "tl.decode"),
    ("pp.match_variables", "pp.project", "tl.predict_response"),
    ("pp.score_growth", "tl.couplings", "tl.growth"),
    ("tl.which_model", "tl.cross_validate", "get.score_summary", "pl.scores"),
    ("tl.fit_bridge", "get.convergence", "get.losses", "pl.history", "pl.refinement"),
    ("tl.fit_bridge", "tl.regulation", "tl.bootstrap", "pl.landscape", "pl.vector_field"),
    ("tl.fit_flow", "get.convergence", "get.losses", "pl.history", "tl.log_density"),
    ("tl.fit_arms", "get.arms", "pl.arms", "tl.cross_validate_arms"),
    ("tl.fit_arms", "tl.fit_bridge", "tl.simulate"),
    ("tl.fit_arms", "get.arms", "tl.cross_validate_arms", "tl.fit_bridge", "tl.simulate"),
    ("tl.fit_mean_field", "get.mean_field", "pl.mean_field", "tl.fit_arms", "tl.fit_bridge"),
    ("tl.fit_mean_field", "tl.simulate"),
    ("tl.cross_validate_arms", "get.score_summary"),
    ("tl.update", "tl.fit_flow", "tl.fit_bridge", "get.convergence", "tl.simulate"),
    ("tl.fit_response", "tl.predict_response", "pl.response", "get.losses", "pl.history"),
    ("tl.cross_validate_response", "get.score_summary", "pl.scores"),
    ("tl.predict_response", "tl.decode", "tl.gene_scores", "ex.to_cell_eval"),
    ("tl.fit_response_folds", "tl.response_intervals", "tl.predict_response"),
    ("tl.dose_response", "get.dose_curves", "pl.dose_response", "tl.predict_response"),
    ("get.killed", "tl.predict_response", "tl.dose_response"),
    ("tl.embed_populations", "tl.predict_response", "pl.populations"),
    ("tl.simulate", "pl.report", "pl.trajectories", "pl.animate", "pl.marginals"),
    ("tl.condition", "get.condition", "tl.simulate", "pl.trajectories", "tl.fates", "tl.pull"),
    ("tl.interpolate", "tl.simulate", "pl.marginals", "pl.density", "pl.held_out"),
    ("tl.velocity", "pl.stream", "pl.vector_field"),
    ("tl.couplings", "get.convergence", "io.from_moscot", "io.from_wot", "ex.to_cellrank"),
    ("tl.couplings", "tl.push", "tl.pull", "tl.transitions", "tl.fates", "tl.entropy"),
    ("tl.couple_lineages", "tl.couple_clones", "tl.couplings", "tl.fates"),
    ("tl.couple_space", "get.registration", "tl.interpolate_slice", "pl.slices", "tl.couplings"),
    ("tl.couple_space", "tl.fates"),
    ("tl.push", "pl.push", "tl.pull"),
    ("tl.pull", "pl.pull", "tl.push"),
    ("tl.transitions", "get.transitions", "pl.transitions", "pl.sankey", "pl.branches"),
    ("tl.fates", "get.fates", "pl.fates", "tl.drivers", "tl.entropy"),
    ("tl.calibrate", "get.calibration", "pl.calibration", "tl.fates", "get.fates"),
    ("tl.growth", "get.growth", "pl.growth", "pl.cell_numbers"),
    ("tl.drivers", "get.drivers", "pl.drivers"),
    ("tl.gene_trends", "get.gene_trends", "pl.gene_trends", "pl.gene_heatmap"),
    ("tl.compare_conditions", "get.conditions", "pl.conditions"),
    ("tl.slow_modes", "get.slow_modes", "pl.slow_modes", "tl.couplings", "tl.fates"),
    ("tl.jump_rates", "get.jump_rates", "pl.jump_rates", "tl.transitions"),
    ("tl.jacobian", "get.jacobian", "pl.jacobian", "tl.velocity", "tl.regulation"),
    ("tl.least_action", "get.least_action", "pl.least_action", "pl.trajectories"),
    ("tl.forecast_intervals", "tl.calibrate", "tl.response_intervals", "tl.fates"),
    ("tl.clone_growth", "get.clone_growth", "tl.couple_clones", "tl.couplings", "tl.growth"),
    ("tl.clone_memory", "get.clone_memory", "tl.martingale_test", "tl.couple_clones"),
    ("tl.couple_clones", "get.clone_strength", "tl.couplings", "tl.fates", "tl.martingale_test"),
    ("tl.martingale_test", "get.martingale_test", "pl.martingale_test", "tl.calibrate"),
    (
        *("tl.entropy_production", "get.entropy_production", "pl.entropy_production"),
        "pl.stream",
    ),
    ("io.from_files", "pp.check_times", "tl.fit_bridge"),
    ("tl.sample_report", "get.sample_report", "pl.sample_report", "tl.resample"),
    ("tl.couple_samples", "tl.couplings", "get.convergence", "tl.fates", "tl.resample"),
    ("tl.resample", "tl.bootstrap", "tl.compare_conditions"),
    ("io.from_mudata", "pp.check_times", "tl.fit_bridge"),
    ("tl.knockout", "tl.knockout_screen", "get.knockout", "pl.knockout"),
)


def related(name):
    """Return what stands in a line with a function, in the order of the lines."""
    found = dict.fromkeys(one for family in FAMILIES if name in family for one in family)
    return [one for one in found if one != name]


def _add(app, what, name, obj, options, lines):
    if what == "function" and (names := related(name.removeprefix("celltraj."))):
        links = ", ".join(f":func:`~celltraj.{one}`" for one in names)
        lines += ["", f".. seealso:: {links}", ""]


def setup(app):
    """Write the lines below the docstrings."""
    app.connect("autodoc-process-docstring", _add)
    return {"parallel_read_safe": True}

"""Every public function of pp, tl, pl and get speaks the same grammar."""

import inspect
import re

import pytest

import celltraj as ct
from celltraj.pl._styled import TEXTS as STYLES

FUNCTIONS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": getattr(module, name)
    for module in (ct.pp, ct.tl, ct.pl, ct.get, ct.ex, ct.io)
    for name in module.__all__
}
# arguments that may stand without their name: what the function is about
DATA = {
    "adata",
    "path",
    "scores",
    "model",
    "predicted",
    "observed",
    "responses",
    "embedded",
    "maps",
    "problem",
    "mdata",
    "paths",
    "representations",
}


def parameters(name):
    return inspect.signature(FUNCTIONS[name]).parameters


def sections(name):
    document = inspect.getdoc(FUNCTIONS[name])
    return dict(re.findall(r"^(\w+)\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", document, re.DOTALL | re.M))


@pytest.mark.parametrize("name", FUNCTIONS)
class TestEveryFunction:
    def test_data_come_first_and_all_else_by_name(self, name):
        kinds = {key: p.kind for key, p in parameters(name).items()}
        first, *others = kinds
        assert kinds[first] is inspect.Parameter.POSITIONAL_OR_KEYWORD
        positional = {key for key in others if kinds[key] is not inspect.Parameter.KEYWORD_ONLY}
        assert {first} | positional <= DATA
        assert inspect.Parameter.VAR_KEYWORD not in kinds.values()

    def test_at_most_twelve_parameters(self, name):
        # what grows is told in two words: by whom it is found, and what is expected of each cell;
        # how a plot looks is told in scanpy's words, which are the same for all plots
        style = set(STYLES) if name.startswith("pl.") else set()
        assert len(set(parameters(name)) - {"growth"} - style) <= 12

    def test_every_parameter_is_described(self, name):
        described = re.findall(r"^(\w[\w, ]*)$", sections(name)["Parameters"], re.MULTILINE)
        names = [part.strip() for line in described for part in line.split(",")]
        # "ax, show, save, return_fig" may stand together and apart from the order of the signature
        assert sorted(names) == sorted(parameters(name))

    @pytest.mark.parametrize("section", ["Parameters", "Returns", "Raises", "Examples"])
    def test_numpydoc_sections(self, name, section):
        assert sections(name)[section].strip()

    def test_the_example_runs_as_a_doctest(self, name):
        assert ">>> import celltraj as ct" in sections(name)["Examples"]

    def test_the_first_line_is_one_sentence(self, name):
        first, blank, *_ = inspect.getdoc(FUNCTIONS[name]).splitlines()
        assert first.endswith(".")
        assert blank == ""


READERS = {f"tl.{name}" for name in ("push", "pull", "transitions", "fates", "entropy", "growth")}

SURE = {"tl.forecast_intervals", "tl.couple_lineages"}  # nothing in it is drawn


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.startswith("tl.")])
def test_tools_take_a_seed_but_those_that_read_couplings(name):
    if name in READERS:
        gone = {"model", "time_key", "use_rep", "seed"}
        assert not gone & set(parameters(name))
        assert parameters(name)["key"].default == "couplings"
    elif name in SURE:
        assert "seed" not in parameters(name)
    else:
        assert parameters(name)["seed"].default == 0


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if "model" in parameters(name)])
def test_the_model_stands_directly_after_the_data(name):
    names = list(parameters(name))
    assert names.index("model") == (1 if "adata" in names else 0)
    kind = parameters(name)["model"].kind
    assert kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def test_what_is_written_can_go_to_a_copy():
    writing = [
        name
        for name, function in FUNCTIONS.items()
        if inspect.signature(function).return_annotation in {"None", "AnnData | None"}
        and not name.startswith("pl.")
    ]
    assert len(writing) > 10
    assert [name for name in writing if "copy" not in parameters(name)] == []


PLOTS = [name for name in FUNCTIONS if name.startswith("pl.") and name != "pl.report"]  # a file


@pytest.mark.parametrize("name", PLOTS)
def test_plots_end_as_scanpy_plots_do(name):
    defaults = {key: p.default for key, p in parameters(name).items()}
    ending = {"ax": None, "show": None, "save": None, "return_fig": False}
    assert {key: defaults[key] for key in ending} == ending


# what is common to many functions: one meaning, one default, and one text that their docstrings
# begin with; a default of ... is one of each function's own
COMMON = {
    "time_key": ("time", "Column of ``obs`` with the sampling times"),
    "use_rep": (None, '``"X"`` or a key of ``obsm``'),
    "key_added": (..., "Name of the result"),
    "copy": (False, "Whether to leave ``adata`` as it is and return an annotated copy."),
    "seed": (0, "Seed of"),
    "n_jobs": (-1, "Processes, as in joblib; -1 for one on every core."),
    "progress": (True, "Whether to show progress bars."),
    "confidence": (0.95, ...),
    "growth_key": (None, "Column of ``obs`` with the net growth"),
    "counts": ("proportions", "What the numbers of cells mean."),
    "model": (..., ...),
    "ode_solver": (None, "How the equation of motion is integrated"),
}
# the time of a course may also be that of the model, of the problem, or of no course at all
OTHER_DEFAULTS = {
    ("tl.couplings", "time_key"): None,
    ("tl.interpolate", "time_key"): None,
    ("io.from_moscot", "time_key"): None,
    ("tl.response_intervals", "confidence"): 0.8,  # as few populations as there are give no more
}
OTHER_TEXTS = {
    ("pp.check_times", "time_key"),
    ("tl.simulate", "time_key"),
    ("tl.decode", "use_rep"),
    ("tl.interpolate", "use_rep"),
    ("pl.marginals", "use_rep"),
}


def described(name):
    """Return the text of each parameter in the docstring of a function."""
    entries = re.findall(
        r"^(\w[\w, ]*)\n((?:    .*\n?|\n)+)", sections(name)["Parameters"], re.MULTILINE
    )
    return {
        one.strip(): " ".join(text.split()) for names, text in entries for one in names.split(",")
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_common_parameter_means_the_same_everywhere(name):
    texts = described(name)
    for key, (default, text) in COMMON.items():
        if key not in parameters(name):
            continue
        found = parameters(name)[key].default
        if default is not ... and found is not inspect.Parameter.empty:
            assert found == OTHER_DEFAULTS.get((name, key), default), key
        if text is not ... and (name, key) not in OTHER_TEXTS:
            assert texts[key].startswith(text), (key, texts[key])


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name[:3] in ("tl.", "pl.", "ex.")])
def test_a_model_stands_after_the_data(name):
    names = list(parameters(name))
    assert not {"process", "bridge", "flow", "level_of_interval", "solver"} & set(names)
    if "model" in names:
        assert names.index("model") == ("adata" in names)


@pytest.mark.parametrize("name", PLOTS)
def test_plots_are_styled_in_the_words_of_scanpy(name):
    styles = {key: p for key, p in parameters(name).items() if key in STYLES}
    assert {"title", "frameon", "figsize"} <= set(styles)
    assert {p.default for p in styles.values()} == {None}
    assert {p.kind for p in styles.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert list(styles) == [key for key in STYLES if key in styles]  # one order everywhere

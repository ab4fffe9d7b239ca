"""Every public function of pp, tl, pl and get speaks the same grammar."""

import inspect
import re

import pytest

import celltraj as ct

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
    "embedded",
    "maps",
    "problem",
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
        assert len(parameters(name)) <= 12

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


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.startswith("tl.")])
def test_tools_take_a_seed_but_those_that_read_couplings(name):
    if name in READERS:
        gone = {"model", "time_key", "use_rep", "seed"}
        assert not gone & set(parameters(name))
        assert parameters(name)["key"].default == "couplings"
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


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.startswith("pl.")])
def test_plots_end_as_scanpy_plots_do(name):
    defaults = {key: p.default for key, p in parameters(name).items()}
    ending = {"ax": None, "show": None, "save": None, "return_fig": False}
    assert {key: defaults[key] for key in ending} == ending

"""``pytest --tinygrad-ops``: what it collects, how it fails, and what it costs those who don't use it."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from tinygrad_cnn.autograd import op as declarations
from tinygrad_cnn.ops import registry
from tinygrad_cnn.testing import Draw, RandomSource, plugin
from tinygrad_cnn.testing.profiles import PROFILES, load_profile
from tinygrad_cnn.testing.properties import PROPERTIES

pytest_plugins = ["pytester"]

OP = """
import numpy as np
import tinygrad_cnn as tg

@tg.differentiable(elementwise="arithmetic")
def {name}(input, other):
    "a * a * b"
    return input * input * other

{name}.gradients(input={gradient}, other=lambda g, input: g * input * input)
{name}.reference(lambda input, other: np.vectorize(lambda a, b: a * a * b, otypes=[float])(input, other))

@{name}.samples
def _(draw):
    shape = draw.shape()
    return dict(input=draw.array(shape), other=draw.array(shape))
"""
RIGHT = "lambda g, input, other: g * 2 * input * other"
WRONG = "lambda g, input, other: g * -2 * input * other"
TESTS = len(PROPERTIES) - 1  # of this op: it declares no refusals


def an_op(name="doubly", gradient=RIGHT):
    return OP.format(name=name, gradient=gradient)


@pytest.fixture
def run(pytester):
    """A run of pytest in this process, whose ops and profile are gone afterwards."""
    before = set(registry)
    # Inside of a test the plugin and the package are imported already, which pytest mentions where it reads their
    # files' list from an installation.
    imported = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
    yield lambda *arguments: pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments, *imported)
    for name in set(registry) - before:
        del declarations._registry[name]
    hypothesis.core.global_force_seed = None
    load_profile()


# ------------------------------------------------------------------------------------------- what is collected
def test_a_module_brings_its_ops_and_no_others(run, pytester):
    pytester.makepyfile(mymodule=an_op(), test_other="def test_other(): raise ValueError")
    result = run("--tinygrad-ops", "mymodule", "--tinygrad-profile=dev", "-v", "-W", "error")
    result.assert_outcomes(passed=TESTS)
    told = f"*1 ops, {len(PROPERTIES)} properties, 10 cases each"
    result.stdout.fnmatch_lines([told, "ops::doubly::first_order PASS*"])


def test_a_file_may_be_given_and_lie_in_a_package(run, pytester):
    package = pytester.mkpydir("mypackage")
    (package / "ops.py").write_text(an_op("in_a_package"))
    (package / "__init__.py").write_text("from mypackage import ops")
    for target in ("mypackage/ops.py", "mypackage.ops", "mypackage", "mypackage/"):
        run("--tinygrad-ops", target, "--co", "-q").stdout.fnmatch_lines(["ops::in_a_package::value"])
    assert registry["in_a_package"].__module__ == "mypackage.ops"


def test_without_a_module_all_ops_are_tested_and_those_of_conftest(run, pytester):
    pytester.makeconftest(an_op("of_conftest"))
    pytester.makepyfile(test_other=an_op("of_a_test_file") + "def test_other(): raise ValueError")
    collected = run("--tinygrad-ops", "--co", "-q").outlines
    assert "ops::conv2d::second_order" in collected
    assert "ops::of_conftest::value" in collected
    assert "ops::argmax::value" in collected
    assert "ops::argmax::first_order" not in collected  # it has no gradient
    assert not [line for line in collected if "test_other" in line or "of_a_test_file" in line]
    assert collected == sorted(collected[:-2], key=lambda line: line.split("::")[1]) + collected[-2:]


def test_paths_that_are_given_run_too(run, pytester):
    path = pytester.makepyfile(test_other=an_op("of_a_test_file") + "def test_other(): pass")
    result = run(path, "--tinygrad-ops", "-k", "test_other or (doubly and value) or of_a_test_file")
    result.assert_outcomes(
        passed=1, deselected=result.parseoutcomes()["deselected"]
    )  # a test file's ops: not the kit's


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["-k", "doubly and first_order"], 1),
        (["ops::doubly::memory", "ops::doubly::value"], 2),
        (["ops::doubly"], TESTS),
    ],
    ids=str,
)
def test_tests_are_selected(run, pytester, arguments, passed):
    pytester.makepyfile(mymodule=an_op())
    outcome = run(*arguments, "--tinygrad-ops", "mymodule", "--tinygrad-profile=dev").parseoutcomes()
    assert outcome["passed"] == passed
    assert not set(outcome) - {"passed", "deselected"}


def test_one_test_is_selected_by_its_name_alone(run):
    run("--tinygrad-ops", "ops::relu::value", "--tinygrad-profile=dev").assert_outcomes(passed=1)


def test_workers_share_the_tests(run, pytester):
    pytester.makepyfile(mymodule=an_op())
    run("--tinygrad-ops", "mymodule", "--tinygrad-profile=dev", "-n", "2").assert_outcomes(passed=TESTS)


def test_an_exemption_is_shown_with_its_reason(run, pytester):
    pytester.makepyfile(mymodule=an_op() + "doubly.exempt(layouts='it needs contiguous memory')")
    result = run("--tinygrad-ops", "mymodule", "--tinygrad-profile=dev", "-rs")
    result.assert_outcomes(passed=TESTS - 1, skipped=1)
    result.stdout.fnmatch_lines(["*doubly is exempt from layouts: it needs contiguous memory"])


# ------------------------------------------------------------------------------------------------- failures
def test_a_failure_explains_itself(run, pytester):
    pytester.makepyfile(mymodule=an_op(gradient=WRONG))
    result = run("--tinygrad-ops", "mymodule", "-k", "first_order or value")
    result.assert_outcomes(passed=1, failed=1, deselected=TESTS - 2)
    result.stdout.fnmatch_lines(
        [
            "*doubly: first_order*",
            "doubly: gradient of the first argument `input`*",
            "*numerical*",
            "*-1",
            "*likely cause: sign*",
            "*check_sample(registry[[]'doubly'], case, [[]'first_order'])",
            "FAILED ops::doubly::first_order*",
        ]
    )
    text = result.stdout.str()
    assert "Traceback" not in text
    assert not [internal for internal in ("hypothesis/", "Falsifying", "Failing test case") if internal in text]
    # The summary is left out: where CI is set, pytest repeats the whole message there.
    assert len(text[: text.index("short test summary")].splitlines()) < 30
    again = re.search(r"case again, to paste:\n((?:    .*\n)+)", text).group(1)
    code = "\n".join(line.strip() for line in again.splitlines())
    ran = subprocess.run([sys.executable, "-c", code], cwd=pytester.path, capture_output=True, text=True)
    assert "ConformanceError: doubly: gradient of the first argument `input`" in ran.stderr


def test_an_error_on_the_way_shows_where(run, pytester):
    pytester.makepyfile(mymodule=an_op(gradient="lambda g, input, other: g * input[9]"))
    result = run("--tinygrad-ops", "mymodule", "-k", "first_order")
    result.assert_outcomes(failed=1, deselected=TESTS - 1)
    result.stdout.fnmatch_lines(["doubly: *", "mymodule.py:*: in <lambda>", "E   IndexError*", "*case again*"])
    assert "hypothesis/" not in result.stdout.str()


@pytest.mark.parametrize("name", sorted(registry))
def test_a_case_can_be_pasted(name):
    case = registry[name]._samples(Draw(RandomSource(0)))
    lines = plugin.repeat_text(registry[name], "value", case).splitlines()[1:]
    names = {"case": case}  # put_view's stays: it has a function in it, and nothing to paste
    assert bool(lines) == (name != "put_view")
    exec("\n".join(line.strip() for line in lines), names)
    np.testing.assert_equal(names["case"], case)


def test_samples_that_raise_show_where(run, pytester):
    pytester.makepyfile(mymodule=an_op() + "    1 / 0")
    text = pytester.path.joinpath("mymodule.py").read_text().replace("    return dict", "    1 / 0\n    return dict")
    pytester.path.joinpath("mymodule.py").write_text(text.removesuffix("    1 / 0"))
    result = run("--tinygrad-ops", "mymodule", "-k", "value")
    result.stdout.fnmatch_lines(["mymodule.py:*: in _", "    1 / 0", "E   ZeroDivisionError*"])
    assert "hypothesis/" not in result.stdout.str()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere", "there is no module 'nowhere'"),
        ("empty", "the module registers no op; declare one with @tinygrad_cnn.differentiable"),
        ("broken", "importing it raised ValueError: oh no (*broken.py:1)"),
        ("needy", "importing it raised ModuleNotFoundError: No module named 'somethingelse'*"),
        ("nowhere/mymodule.py", "no such file"),
        ("inner/json.py", "another module named json was imported"),
        ("ops::relu::valu", "no test 'ops::relu::valu'; expected ops::NAME or ops::NAME::PROPERTY*first_order*"),
    ],
)
def test_what_can_not_be_tested_is_a_usage_error(run, pytester, target, message):
    pytester.makepyfile(empty="", broken="\nraise ValueError('oh no')", needy="import somethingelse")
    pytester.mkdir("inner").joinpath("json.py").write_text("")
    result = run("--tinygrad-ops", target)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --tinygrad-ops*{message}*"])


def test_hypothesis_is_asked_for(monkeypatch, run):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(pytest.UsageError, match=r"pip install \"tinygrad-cnn\[test\]\""):
        plugin.configure(None)
    monkeypatch.undo()


# ---------------------------------------------------------------------------------------- profiles and seeds
COUNTING = """
@{name}.samples
def _(draw):
    x = draw.array((3,))
    with open("drawn", "a") as file:
        print(x.tolist(), file=file)
    return dict(input=x, other=x)
"""


@pytest.fixture
def drawn(run, pytester, monkeypatch):
    """The cases that a run draws."""
    monkeypatch.delenv("HYPOTHESIS_PROFILE", raising=False)

    def draw(*arguments):
        path = pytester.path / "drawn"
        path.unlink(missing_ok=True)
        pytester.makepyfile(mymodule=an_op() + COUNTING.format(name="doubly"))
        hypothesis.core.global_force_seed = None
        run("--tinygrad-ops", "mymodule", "-k", "value", *arguments).assert_outcomes(passed=1, deselected=TESTS - 1)
        return path.read_text().splitlines()

    return draw


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_how_many_cases(drawn, name):
    assert len(drawn("--tinygrad-profile", name)) == PROFILES[name]["max_examples"]


def test_seeds_are_hypothesis_own(drawn):
    assert drawn() == drawn("--tinygrad-profile=ci")  # ci is what is loaded, and draws the same
    first, second = (drawn(f"--hypothesis-seed={seed}", "--tinygrad-profile=ci") for seed in (1, 2))
    assert first != second
    assert first == drawn("--hypothesis-seed=1")


def test_the_profile_is_that_of_other_tests_too(run, pytester, monkeypatch):
    monkeypatch.delenv("HYPOTHESIS_PROFILE", raising=False)
    path = pytester.makepyfile(
        """
        import hypothesis
        def test(): assert hypothesis.settings.default.max_examples == 10
        """
    )
    run(path, "--tinygrad-profile=dev").assert_outcomes(passed=1)
    mine = "import hypothesis; hypothesis.settings.register_profile('mine', max_examples=10)"
    pytester.makeconftest(mine)
    pytester.makepyfile(mymodule=an_op())
    arguments = (path, "--tinygrad-ops", "mymodule", "--hypothesis-profile=mine", "-k", "value or test")
    run(*arguments).assert_outcomes(passed=2, deselected=TESTS - 1)


# ---------------------------------------------------------------------------------------- what the page says
def test_the_page_says_what_each_property_means():
    page = (Path(plugin.__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")
    for name, function in PROPERTIES.items():
        assert f"| `{name}` | {inspect.getdoc(function).splitlines()[0]} |" in page
    for name, values in PROFILES.items():
        assert f"| `{name}` | {values['max_examples']} |" in page


# ------------------------------------------------------------------------------------------------- its cost
def test_other_runs_pay_nothing(pytester):
    path = pytester.makepyfile(
        """
        import sys
        def test_modules():
            assert "pytest_tinygrad_cnn" in sys.modules
            assert not {"tinygrad_cnn", "numpy", "hypothesis"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess(path, "-W", "error", "-p", "no:xdist").assert_outcomes(passed=1)

"""The exception tree, its exit codes and the sentences it helps to write."""

import pytest

from sian import errors


@pytest.mark.parametrize(
    ("kind", "code"), [(errors.BadInput, 3), (errors.MissingResource, 4), (errors.Interrupted, 130)]
)
def test_each_error_has_its_exit_code(kind, code):
    assert issubclass(kind, errors.SianError)
    assert kind.exit_code == code


def test_bad_input_is_also_a_value_error():
    with pytest.raises(ValueError, match=r"a\.png"):
        raise errors.BadInput("a.png: no")


def test_every_error_stands_in_the_module_docstring():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SianError)]
    assert len(kinds) >= 4
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)


def test_warn_points_at_the_caller_of_the_function_that_warns():
    def paint():
        errors.warn("the nuclei are large")

    with pytest.warns(errors.SianWarning, match="^the nuclei are large$") as seen:
        paint()
    assert seen[0].filename == __file__


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("kidny", "; did you mean 'kidney'? Known: breast, kidney"),
        ("xyz", ". Known: breast, kidney"),
    ],
)
def test_nearest_name(name, sentence):
    assert errors.nearest(name, iter(["breast", "kidney"])) == sentence

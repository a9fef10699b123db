"""Where recipes are found, and the error if there is none."""

from __future__ import annotations

import pathlib

import pytest

import sslkit
from sslkit.config import find_recipe, search_path
from sslkit.errors import UserError


@pytest.fixture
def shipped():
    """The checkout, or the folder of recipes of an installed sslkit."""
    package = pathlib.Path(sslkit.__file__).parent
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent


def test_the_current_folder_comes_first(world, recipe, shipped):
    recipe("gin/x.gin", "")
    assert find_recipe("gin/x.gin") == world / "gin" / "x.gin"
    assert search_path() == [world, shipped]


def test_an_absolute_path_is_itself(world, recipe):
    recipe("elsewhere/y.gin", "")
    path = world / "elsewhere" / "y.gin"
    assert find_recipe(str(path)) == path


def test_shipped_recipes_and_parts_are_found_from_anywhere(world, shipped):
    for name in ("gin/fnc_digits_pretrain.gin", "gin/parts/digits.gin"):
        assert find_recipe(name) == shipped / name


def test_the_error_of_a_missing_recipe_names_folders_and_similar_names(
    world, recipe, shipped
):
    recipe("gin/fnc_tiny.gin", "")
    recipe("gin/parts/not_a_recipe.gin", "")
    with pytest.raises(UserError) as caught:
        find_recipe("gin/fnc_tinny.gin")
    line = str(caught.value)
    assert line.startswith(
        "there is no recipe 'gin/fnc_tinny.gin'. Did you mean 'gin/fnc_tiny.gin'? "
        f"Searched in {world}, {shipped}. Recipes: "
    )
    assert "not_a_recipe" not in line


def test_the_error_for_a_bare_name_suggests_its_file(recipe):
    recipe("gin/a_rather_long_recipe_name.gin", "")
    with pytest.raises(UserError, match=r"mean 'gin/a_rather_long_recipe_name.gin'"):
        find_recipe("a_rather_long_recipe_name")

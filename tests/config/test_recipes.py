"""Where recipes are found, and what is said when they are not."""

from __future__ import annotations

import pytest

from sslkit.config import find_recipe, search_path
from sslkit.errors import UserError


def test_the_current_folder_comes_first(world, recipe, repository):
    recipe("gin/x.gin", "")
    assert find_recipe("gin/x.gin") == world / "gin" / "x.gin"
    assert search_path() == [world, repository]


def test_an_absolute_path_is_itself(world, recipe):
    recipe("elsewhere/y.gin", "")
    path = world / "elsewhere" / "y.gin"
    assert find_recipe(str(path)) == path


def test_the_checkout_is_found_from_anywhere(world, repository):
    part = next((repository / "gin").rglob("*.gin"), None)
    if part is None:
        pytest.skip("the checkout has no recipes")
    assert find_recipe(part.relative_to(repository).as_posix()) == part


def test_a_missing_recipe_names_folders_and_neighbours(world, recipe, repository):
    recipe("gin/fnc_tiny.gin", "")
    recipe("gin/parts/not_a_recipe.gin", "")
    with pytest.raises(UserError) as caught:
        find_recipe("gin/fnc_tinny.gin")
    line = str(caught.value)
    assert line.startswith(
        "no recipe 'gin/fnc_tinny.gin'. Did you mean 'gin/fnc_tiny.gin'? "
        f"Looked in {world}, {repository}. Recipes: "
    )
    assert "not_a_recipe" not in line


def test_a_bare_name_is_pointed_to_its_file(recipe):
    recipe("gin/a_rather_long_recipe_name.gin", "")
    with pytest.raises(UserError, match=r"mean 'gin/a_rather_long_recipe_name.gin'"):
        find_recipe("a_rather_long_recipe_name")

from .recipe import Recipe as Recipe, read_recipe as read_recipe
from .running import Reproduced as Reproduced, reproduce as reproduce
from .shelf import recipe_of as recipe_of, recipes as recipes

"""Recipes: YAML files of `TrainConfig` fields."""

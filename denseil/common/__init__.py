"""Helpers shared by several subpackages. Imports nothing else of the library."""

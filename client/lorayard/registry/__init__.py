"""Adapters of a yard, as publishers and operators handle them."""

"""Measurements of a yard on the machine at hand: each figure beside a floor taken in the same run."""

"""Objective measurements and the reports that show them."""

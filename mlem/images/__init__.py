"""Ladders of small networks that draw pictures: levels f^1, …, f^K that are UNets instead of formulas."""

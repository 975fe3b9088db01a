"""Lessons: questions asked before their answers are shown, step by step over the pages. Nothing here draws."""

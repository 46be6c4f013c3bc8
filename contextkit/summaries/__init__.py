"""Summaries in levels over a log: made from words or by a model, checked, kept, put in force."""

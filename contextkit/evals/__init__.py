"""Measuring retrieval without a model: is the evidence for a question among what fits a budget?"""

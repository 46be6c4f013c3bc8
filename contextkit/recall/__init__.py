"""Finding what was said: a searchable memory of one thread, ranked, packed into a budget, rendered."""

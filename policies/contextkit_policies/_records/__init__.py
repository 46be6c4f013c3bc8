"""The graph of records: questions asked before anyone asks, their answers, and what those stand on."""

"""Reading passages in parts and putting the answers together, beside the turn's own call."""

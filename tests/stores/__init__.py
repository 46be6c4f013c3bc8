"""History stores: one contract for all three, and what each does when things fail."""

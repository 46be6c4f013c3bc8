"""`contextkit serve`: a proxy that speaks the providers' APIs and manages what passes through it."""

"""The embedders that come with contextkit, found by `kind`; each imports its library at the first use."""

"""The providers' own rules for requests, as checks that share nothing with what makes requests.

Each module has `problems(request)`: what its provider would refuse, each with its place.
"""

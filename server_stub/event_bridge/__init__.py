"""The event bridge: requests of a worker's SDK, in envelopes.

`door.py` takes them, `routes.py` lists what is offered, `rules.py` to whom, `actions.py` does it.
"""

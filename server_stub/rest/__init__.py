"""The public REST API, version 1.

`door.py` takes the requests. `operations.py` is the table of what is offered; the modules that it
collects from hold each operation with what it does.
"""

"""`taskrouter-stub`'s commands: `add_NAME` adds one's arguments, `run_NAME` carries it out.

`server_stub.__main__` joins them. `serve` and `replay` load a server; the others are clients of a running
one.
"""

"""The command line ``taskrouter-worker``. Nothing of the package imports it."""

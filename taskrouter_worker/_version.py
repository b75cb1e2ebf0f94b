"""The package's version, also told to the service as `clientVersion`."""

__version__ = "0.1.0"

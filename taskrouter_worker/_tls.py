"""TLS: the platform's context, made once, and words for what goes wrong with it."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterator
from typing import Final

__all__ = ["platform_context", "trouble"]

# OpenSSL's X509_V_ERR_...
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_OTHER_NAME: Final = (62, 64)  # of a host, of an IP address
_UNKNOWN_ISSUER: Final = (18, 19, 20, 21)  # self-signed, or by a CA that is not among those trusted here


@functools.cache
def platform_context() -> ssl.SSLContext:
    """The platform's CAs and rules: Python's default, for all workers of the process.

    Reading the CAs takes tens of milliseconds, in which the event loop stands still, and most of a megabyte:
    too much for each connection of each worker.
    """
    return ssl.create_default_context()


def trouble(error: BaseException) -> str | None:
    """What is wrong with TLS and what to do about it; None if that is not what `error` is about."""
    for link in _chain(error):
        # aiohttp's errors are of these kinds without having their attributes; ssl's own is behind them.
        if isinstance(link, ssl.SSLCertVerificationError) and hasattr(link, "verify_code"):
            return _bad_certificate(link)
        if isinstance(link, ssl.SSLError) and hasattr(link, "reason"):
            return _failed_handshake(link)
        if isinstance(link, ConnectionError) and not str(link):  # asyncio's, within a handshake
            return (
                "it closed the connection in the TLS handshake; if it wants a client certificate, load one "
                "that it trusts into ssl_context"
            )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _bad_certificate(error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message.rstrip(".")
    match error.verify_code:
        case code if code in _UNKNOWN_ISSUER:
            return (
                f"its TLS certificate is not trusted ({message}): give an ssl_context that trusts its CA, "
                "or name the CA's file in SSL_CERT_FILE"
            )
        case code if code in _OTHER_NAME:
            return f"its TLS certificate is for another address ({message}): connect to one that it names"
        case code if code == _EXPIRED:
            return "its TLS certificate has expired: it must be renewed there, if the clock here is right"
        case code if code == _NOT_YET_VALID:
            return "its TLS certificate is not valid yet: is the clock right, here and there?"
        case _:
            return f"its TLS certificate was not accepted: {message}"


def _failed_handshake(error: ssl.SSLError) -> str:
    reason: str = error.reason or ""
    message = reason.replace("_", " ").lower() or str(error) or type(error).__name__
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return f"it does not speak TLS ({message}): is its address one with http:// and ws://?"
    if "ALERT" in reason:
        return (
            f"it refused the TLS handshake ({message}); if it wants a client certificate, load one that it "
            "trusts into ssl_context"
        )
    return f"TLS failed: {message}"

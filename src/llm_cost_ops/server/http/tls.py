"""TLS: which versions and ciphers are spoken, and certificates that are renewed while we serve."""

from __future__ import annotations

import os
import ssl

from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.settings import ServerSettings

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: those with forward secrecy and authenticated encryption. Those of 1.3 all have it."""
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_Seen = tuple[tuple[int, int, int], ...]


class Certificate:
    """A certificate and its key in files. `context` is the one of all connections of a listener:
    what is loaded into it later holds for new connections."""

    def __init__(self, cert_file: str, key_file: str, least_version: str = "1.2") -> None:
        """Raises OSError (of which SSLError is one) for files that are missing or do not fit."""
        self._files = (cert_file, key_file)
        self._least = VERSIONS[least_version]
        self._seen = self._look()
        self.context = self._load()

    @classmethod
    def of(cls, settings: ServerSettings) -> Certificate | None:
        """That of the settings, None where HTTP is spoken."""
        if settings.tls_cert_file is None or settings.tls_key_file is None:
            return None
        return cls(settings.tls_cert_file, settings.tls_key_file, settings.tls_min_version)

    def for_uvicorn(self, _config: object, _default: object) -> ssl.SSLContext:
        """`context`, in the way in which uvicorn asks for it."""
        return self.context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._least
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.load_cert_chain(*self._files)
        return context

    def _look(self) -> _Seen:
        """What tells that a file was replaced. Raises OSError."""
        found = [os.stat(path) for path in self._files]
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)

    def refresh(self) -> bool:
        """Load the files anew when they changed, for new connections; whether that was done. Files
        that do not fit (yet: one of two was replaced) leave everything as it is."""
        try:
            seen = self._look()
            if seen == self._seen:
                return False
            self._load()  # tried apart first: the context in use must not end up with half of it
            self.context.load_cert_chain(*self._files)
        except OSError as error:
            logger("tls").warning("new certificate not usable", reason=str(error))
            return False
        self._seen = seen
        logger("tls").info("certificate loaded again")
        return True

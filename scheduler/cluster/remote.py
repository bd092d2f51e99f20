"""A Dask scheduler that runs already, reached by its address or its file, with TLS or without."""

import json
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiledsim.errors import BackendError
from tiledsim.scheduler.cluster.dask_errors import silent

CONNECT_SECONDS = 20
GREETING_SECONDS = 3.0
FILE_SECONDS = 60
"""How long a scheduler's file may take to appear: the scheduler is often started beside us."""


@dataclass(frozen=True)
class Tls:
    """Certificate files for the connection to a scheduler, as Dask's own commands take them."""

    ca_file: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    """None where the key is in the file of the certificate."""

    def __bool__(self) -> bool:
        return any((self.ca_file, self.cert, self.key))


def security_of(tls: Tls) -> Any:
    """Return Dask's security for certificate files; None leaves it to Dask's configuration.

    Raises BackendError if one is missing or cannot be used.
    """
    if not tls:
        return None
    for option, file in (("tls_ca_file", tls.ca_file), ("tls_cert", tls.cert)):
        if file is None:
            raise BackendError(f"`{option}` is missing; TLS needs `tls_ca_file` and `tls_cert`")
    try:
        context = ssl.create_default_context(cafile=str(tls.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise BackendError(
            f"`tls_ca_file={tls.ca_file}`: holds no certificates: {_reason(error)}"
        ) from None
    try:
        context.load_cert_chain(str(tls.cert), str(tls.key) if tls.key else None)
    except (OSError, ssl.SSLError) as error:
        raise BackendError(
            f"`tls_cert={tls.cert}`, `tls_key={tls.key or '(in the same file)'}`: no certificate "
            f"with its key: {_reason(error)}"
        ) from None
    from distributed import Security

    return Security(
        require_encryption=True,
        tls_ca_file=str(tls.ca_file),
        tls_client_cert=str(tls.cert),
        tls_client_key=str(tls.key) if tls.key else None,
    )


def without_password(address: str) -> str:
    """Return an address with what stands before an @ in it, a name and a password, left out."""
    scheme, slashes, rest = address.rpartition("://")
    return f"{scheme}{slashes}***@{rest.rpartition('@')[2]}" if "@" in rest else address


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def address_in(file: Path) -> str:
    """Return the address that a scheduler wrote into its file, and wait a while for the file.

    Raises BackendError if it does not appear, or is another kind of file.
    """
    deadline = time.monotonic() + FILE_SECONDS
    while True:
        try:
            found = json.loads(file.read_text())
            address = found["address"]
        except FileNotFoundError:
            trouble = "does not exist"
        except OSError as error:
            raise BackendError(f"`scheduler_file={file}`: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            # Also what a scheduler has begun to write; it is complete in a moment.
            trouble = "is not the file of a Dask scheduler"
            deadline = min(deadline, time.monotonic() + 2.0)
        else:
            if isinstance(address, str):
                return address
            trouble = "holds no address"
            deadline = 0.0
        if time.monotonic() > deadline:
            raise BackendError(
                f"`scheduler_file={file}`: {trouble}; start one with dask scheduler "
                "--scheduler-file FILE, on a disk that both machines see"
            )
        time.sleep(0.1)


@contextmanager
def client_of_file(file: Path, tls: Tls | None = None) -> Iterator[Any]:
    """Give a client of the scheduler that writes its address into a file.

    The file may be there already, of a scheduler that has ended: it is read again for as long as
    nothing answers, as it is waited for.  Raises BackendError as :func:`remote_client` does.
    """
    deadline = time.monotonic() + FILE_SECONDS
    while True:
        address = address_in(file)
        _, host, port = _parts_of(address)
        try:
            socket.create_connection((host, port), timeout=GREETING_SECONDS).close()
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise BackendError(
                    f"`scheduler_file={file}`: nothing answers at {address} within "
                    f"{FILE_SECONDS:g} s ({type(error).__name__}); its scheduler has ended: start "
                    "one with dask scheduler --scheduler-file FILE"
                ) from None
        time.sleep(0.2)
    with remote_client(address, tls) as client:
        yield client


CERTIFICATES = (
    "give `tls_ca_file`, `tls_cert` and `tls_key`, or set distributed.comm.tls in Dask's "
    "configuration"
)


@contextmanager
def remote_client(address: str, tls: Tls | None = None) -> Iterator[Any]:
    """Give a client of a scheduler that is there already.

    Without ``tls``, certificates are those of Dask's configuration.  Raises BackendError if it
    does not answer, if that is no address, or if one side speaks TLS and the other does not.
    """
    from distributed import Client, Security

    protocol, host, port = _parts_of(address)
    security = security_of(tls or Tls()) or Security()
    if protocol == "tcp":
        if security.require_encryption:
            raise BackendError(
                f"{address} is reached without TLS, which is asked for; write tls://{host}:{port}"
            )
        _expect_greeting(address, host, port)
        logging.getLogger("tiledsim").warning(
            "tiledsim: note: %s has no keys: whoever reaches it can run programs as its owner; "
            "start it with --protocol tls:// where others can", address,
        )  # fmt: skip
    else:
        context = security.get_connection_args("client")["ssl_context"]
        if context is None:
            raise BackendError(f"{address}: no certificates for TLS; {CERTIFICATES}")
        _expect_tls(address, host, port, context)
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, security=security)
    except (OSError, TimeoutError, ValueError) as error:
        raise BackendError(_no_answer(address, error)) from None
    # Of a scheduler that has gone before us Dask would tell in pages: where a message was on its
    # way when the connection ended, and again when the client is closed.
    with silent("distributed.batched", below=logging.WARNING):
        try:
            yield client
        finally:
            with silent("distributed", "distributed.client"):
                client.close()


def _no_answer(address: str, error: BaseException) -> str:
    return (
        f"the scheduler at {address} does not answer within {CONNECT_SECONDS} s "
        f"({type(error).__name__}); is it running, and is the address that of its log?"
    )


def _parts_of(address: str) -> tuple[str, str, int]:
    from distributed.comm.addressing import parse_address, parse_host_port

    advice = "give one such as tcp://host:8786 or tls://host:8786"
    try:
        protocol, place = parse_address(address)
        host, port = parse_host_port(place)
    except ValueError:
        shown = without_password(address)
        raise BackendError(f"{shown!r} is no address of a scheduler; {advice}") from None
    if "@" in address:
        raise BackendError(
            f"{without_password(address)}: a scheduler takes no name and password, and an address "
            f"is recorded; {advice}"
        )
    if protocol not in ("tcp", "tls") or not host:
        raise BackendError(
            f"{without_password(address)!r}: schedulers are reached by tcp or tls; {advice}"
        )
    return protocol, host, port


def _reach(address: str, host: str, port: int) -> socket.socket:
    """Connect; a scheduler that is starting has CONNECT_SECONDS to listen."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return socket.create_connection((host, port), timeout=GREETING_SECONDS)
        except socket.gaierror as error:
            raise BackendError(f"{address}: {host!r} is no host: {error.strerror}") from None
        except OSError as error:
            if time.monotonic() > deadline:
                raise BackendError(_no_answer(address, error)) from None
            time.sleep(0.1)


# The handshake is looked at before Dask makes a client: of one that cannot be made, Dask says
# nothing that helps, and it waits 40 s for the end of what it has begun.


def _expect_greeting(address: str, host: str, port: int) -> None:
    """Raise BackendError if a port speaks TLS.  A Dask server greets first, TLS waits for us."""
    with _reach(address, host, port) as plain:
        try:
            plain.recv(1)
            return
        except OSError:
            pass
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _reach(address, host, port) as plain, context.wrap_socket(plain):
            pass
    except OSError as refusal:  # an alert is TLS as well; what else it is, Dask finds out
        if "ALERT" not in str(refusal):
            return
    raise BackendError(
        f"the scheduler at {address} speaks TLS; use tls://{host}:{port}, and {CERTIFICATES}"
    )


def _expect_tls(address: str, host: str, port: int, context: ssl.SSLContext) -> None:
    """Raise BackendError unless both sides take the other's certificate."""
    try:
        with _reach(address, host, port) as plain, context.wrap_socket(plain) as secure:
            secure.recv(1)  # of TLS 1.3, a refusal of our certificate comes with the first answer
    except ssl.SSLCertVerificationError:
        raise BackendError(
            f"{address}: its certificate is not signed by what `tls_ca_file`, or Dask's "
            "configuration, names; ask who runs the scheduler for its CA file"
        ) from None
    except ssl.SSLError as refusal:
        if "ALERT" in str(refusal):
            raise BackendError(
                f"the scheduler at {address} refuses our certificate; its CA must have signed the "
                "one of `tls_cert`"
            ) from None
        raise BackendError(
            f"the scheduler at {address} does not speak TLS; use tcp://{host}:{port}"
        ) from None
    except OSError as error:
        raise BackendError(_no_answer(address, error)) from None

"""The socket that the server listens on: an address, or a path in the file system."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamserver.config.settings import ServerSettings

BACKLOG = 4096
SEND_BUFFER_BYTES = 128 * 1024
"""What the kernel holds for a reader that takes nothing; it doubles the number. Left alone it may take 4 MiB."""
SOCKET_MODE = 0o660
"""A proxy connects as the same user or group; the folder's permissions bound it further."""
MAX_PATH_BYTES = 107
"""unix(7): ``sun_path`` has 108 bytes, the last of which is 0."""


class ListenError(Exception):
    """A socket that cannot be listened on. The message is one line that says what to do."""


@contextmanager
def listening(settings: ServerSettings) -> Iterator[socket.socket]:
    """Listen on the address or the path in ``settings``; remove the path at the end of the block.

    Raises :class:`ListenError`.
    """
    if not settings.unix_socket:
        with _listen(settings.host, settings.port) as sock:
            yield sock
        return
    path = Path(settings.unix_socket)
    with _listen_at(path) as sock:
        made = path.stat().st_ino
        try:
            yield sock
        finally:
            with suppress(OSError):  # another server may have replaced it
                if path.stat().st_ino == made:
                    path.unlink()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises :class:`OSError`."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _bound(sock, address)
    except OSError:
        sock.close()
        raise


def check_socket_path(path: str) -> str | None:
    """Return what is wrong with ``path`` as ``server.unix_socket``, as far as it can be told without listening."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes, the most for a socket"
    folder = Path(path).parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    try:
        is_other = not stat.S_ISSOCK(Path(path).lstat().st_mode)
    except OSError:
        return None
    return "is a file that is no socket; it is not replaced" if is_other else None


def name_of(sock: socket.socket) -> str:
    """Return the URL to reach ``sock`` at from this machine; ``unix:`` and the path of a Unix socket."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    address = ipaddress.ip_address(name[0].partition("%")[0])
    host = name[0]
    if address.is_unspecified:  # every address, but none that a client can connect to
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{name[1]}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except PermissionError:
        raise ListenError(f"port {port} needs privileges; choose one from 1024 with --port") from None
    except (socket.gaierror, UnicodeError):
        raise ListenError(f"there is no host {host!r} to listen on; see --host") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ListenError(
                f"{host}:{port} is in use; choose another port with --port, or stop what listens there"
            ) from None
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _listen_at(path: Path) -> socket.socket:
    if wrong := check_socket_path(str(path)):
        raise ListenError(f"server.unix_socket: {path} {wrong}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~SOCKET_MODE)
    try:
        _remove_stale(path)
        return _bound(sock, str(path))
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {path}: {error.strerror}") from None
    except ListenError:
        sock.close()
        raise
    finally:
        os.umask(mask)


def _remove_stale(path: Path) -> None:
    """Remove the socket that a killed server has left behind. Raises :class:`ListenError` if a server listens on it."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass
    raise ListenError(f"{path} is in use; set another server.unix_socket, or stop what listens there")


def _bound(sock: socket.socket, address: object) -> socket.socket:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # connections inherit it
    sock.bind(address)  # type: ignore[arg-type]
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock

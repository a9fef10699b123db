"""`sslkit data-service`: processes that make training batches for others."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from sslkit.errors import UserError, first_line

_THIS_MACHINE = "127.0.0.1"
_LOOPBACK = (_THIS_MACHINE, "localhost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument(
        "--dispatcher",
        action="store_true",
        help="start only the dispatcher, which distributes the work to the workers",
    )
    parts.add_argument(
        "--worker",
        metavar="ADDRESS",
        help="start only a worker, which joins the dispatcher at HOST:PORT; without "
        "--dispatcher and --worker, one of each is started",
    )
    parser.add_argument(
        "--host",
        default=_THIS_MACHINE,
        help="the name or address by which other machines reach this one; with the "
        f"default, {_THIS_MACHINE}, no other machine can connect",
    )
    parser.add_argument(
        "--expose",
        action="store_true",
        help="let other machines connect; needed with a --host that is not the "
        "default; there is no password and no encryption, so use it only in a network "
        "that you trust",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        help="the port of the dispatcher, or of the worker if only a worker is started "
        "(default: any free port)",
    )


def check(args: argparse.Namespace) -> None:
    """Checks which machines may connect."""
    address, host = _address(args), args.host
    if host == "0.0.0.0":
        raise UserError(
            "--host 0.0.0.0 is not an address by which other machines find this one; "
            "give its name, and the service listens on all interfaces"
        )
    if host not in _LOOPBACK and not args.expose:
        raise UserError(
            f"--host {host} lets every machine that reaches this one run code here, "
            "without a password. If you trust the network, add --expose; otherwise "
            "leave out --host"
        )
    if host in _LOOPBACK and args.expose:
        raise UserError(
            "--expose needs --host, too: the name by which other machines reach this "
            "one"
        )
    if host in _LOOPBACK and address.rpartition(":")[0] not in ("", *_LOOPBACK):
        raise UserError(
            f"the dispatcher at {address} would tell other machines that this worker "
            f"is at {host}; give --host the name of this machine, and --expose"
        )


def _address(args: argparse.Namespace) -> str:
    return (args.worker or args.host).removeprefix("grpc://")


def run(args: argparse.Namespace) -> int:
    """Serves until a signal arrives."""
    import tensorflow as tf

    from sslkit.data.service import Service
    from sslkit.runners import gpus

    address = _address(args)
    # Batches are made on the host; the devices are left to the runs that train.
    gpus.hide()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    service = tf.data.experimental.service
    servers = []

    def serve(make: Callable[[int], Any], what: str, port: int) -> str:
        server = _start(make, what, port, host=args.host)
        servers.append(server)
        return f"{args.host}:{_port(server)}"

    def worker(dispatcher: str, port: int) -> str:
        def make(port: int) -> Any:
            config = service.WorkerConfig(
                dispatcher, worker_address=f"{args.host}:%port%", port=port
            )
            return service.WorkerServer(config)

        return serve(make, "worker", port)

    if args.worker is not None:
        # Without this check a worker would wait for its dispatcher for an hour.
        Service(f"grpc://{address}").reach()
        print(f"worker {worker(address, args.port)} of {address}", flush=True)
    else:
        address = serve(
            lambda port: service.DispatchServer(service.DispatcherConfig(port=port)),
            "dispatcher",
            args.port,
        )
        if not args.dispatcher:
            worker(address, 0)
        print(f"data.service = 'grpc://{address}'", flush=True)
    stop.wait()
    # Nothing is left to write. If TensorFlow stopped the worker, it would wait for the
    # dispatcher, for an hour if that has ended already.
    os._exit(0)


def _start(make: Callable[[int], Any], what: str, port: int, *, host: str) -> Any:
    try:
        server = make(port)
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"the {what} cannot be started on port {port} ({first_line(error)}). The "
            "port may be in use: choose another --port, or 0 for any"
        ) from error
    if host in _LOOPBACK:
        _keep_to_this_machine(_port(server))
    return server


def _port(server: Any) -> int:
    return int(server._address.rpartition(":")[2])


def _keep_to_this_machine(port: int) -> None:
    """Lets no other machine connect to a port of this process.

    TensorFlow listens on all interfaces and has no option to change that. So the socket
    that it has opened is bound to the loopback interface afterwards, within
    milliseconds; the system then refuses connections from other machines.

    Raises:
        UserError: if this system cannot do that.
    """
    try:
        listening = list(_listening(port))
        for listener in listening:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            listener.close()
    except (OSError, AttributeError) as error:
        raise UserError(
            f"port {port} cannot be closed to other machines ({error}); that needs "
            "Linux 5.7 or later. To let other machines connect, give --host the name "
            "of this one, and --expose"
        ) from error
    if not listening:
        raise UserError(f"port {port} is not open; start the command again")


def _listening(port: int) -> list[socket.socket]:
    """Returns copies of the sockets of this process that listen on a port."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            opened = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # not a socket, or closed by now
            continue
        own = opened.getsockname()
        if (
            isinstance(own, tuple)
            and own[1] == port
            and opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            found.append(opened)
        else:
            opened.close()
    return found

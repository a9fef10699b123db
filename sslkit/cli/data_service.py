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
        help="start the dispatcher alone, which shares the work out",
    )
    parts.add_argument(
        "--worker",
        metavar="ADDRESS",
        help="start a worker alone, which joins the dispatcher at HOST:PORT; without "
        "either option, one dispatcher and one worker",
    )
    parser.add_argument(
        "--host",
        default=_THIS_MACHINE,
        help="the name or address under which others reach this machine; the default, "
        f"{_THIS_MACHINE}, lets no other machine in",
    )
    parser.add_argument(
        "--expose",
        action="store_true",
        help="let every machine that reaches this one in, as --host with another name "
        "does; there is no password and no encryption, so the network must be yours",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        help="port of the dispatcher, or of a worker alone (default: any that is free)",
    )


def check(args: argparse.Namespace) -> None:
    """Looks at who may come in."""
    address, host = _address(args), args.host
    if host == "0.0.0.0":
        raise UserError(
            "--host 0.0.0.0 is no address at which others find this machine; give its "
            "name, and all interfaces are listened to"
        )
    if host not in _LOOPBACK and not args.expose:
        raise UserError(
            f"--host {host} lets every machine that reaches this one run what it "
            "sends here, without a password. Where the network is yours alone, say so "
            "with --expose; else leave out --host"
        )
    if host in _LOOPBACK and args.expose:
        raise UserError(
            "--expose wants --host, too: the name under which others reach this machine"
        )
    if host in _LOOPBACK and address.rpartition(":")[0] not in ("", *_LOOPBACK):
        raise UserError(
            f"a dispatcher at {address} would send others to {host} for this worker; "
            "give --host the name of this machine, and --expose"
        )


def _address(args: argparse.Namespace) -> str:
    return (args.worker or args.host).removeprefix("grpc://")


def run(args: argparse.Namespace) -> int:
    """Serves until a signal comes."""
    import tensorflow as tf

    from sslkit.data.service import Service
    from sslkit.runners import gpus

    address = _address(args)
    # Batches are made on the host; the devices are for whoever trains.
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
        # A worker by itself would wait for its dispatcher for an hour.
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
    # Nothing is left to write. TensorFlow's own way of stopping a worker waits for its
    # dispatcher, for an hour if that has gone.
    os._exit(0)


def _start(make: Callable[[int], Any], what: str, port: int, *, host: str) -> Any:
    try:
        server = make(port)
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"the {what} cannot be started on port {port} ({first_line(error)}). Is it "
            "in use? Choose another --port, or 0 for any"
        ) from error
    if host in _LOOPBACK:
        _keep_to_this_machine(_port(server))
    return server


def _port(server: Any) -> int:
    return int(server._address.rpartition(":")[2])


def _keep_to_this_machine(port: int) -> None:
    """Lets no other machine connect to a port of this process.

    TensorFlow listens on all interfaces and has no option against it. So the socket
    that it has opened is bound to the loopback interface afterwards, within
    milliseconds; a connection from elsewhere is then refused by the system.

    Raises:
        UserError: if this system cannot do that.
    """
    try:
        listening = list(_listening(port))
        for door in listening:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            door.close()
    except (OSError, AttributeError) as error:
        raise UserError(
            f"port {port} cannot be kept to this machine ({error}); that needs Linux "
            "5.7 or later. To let other machines in, give --host the name of this one,"
            " and --expose"
        ) from error
    if not listening:
        raise UserError(f"port {port} is not open; start the command again")


def _listening(port: int) -> list[socket.socket]:
    """Returns copies of the sockets of this process that listen on a port."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            door = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # no socket, or closed by now
            continue
        own = door.getsockname()
        if (
            isinstance(own, tuple)
            and own[1] == port
            and door.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            found.append(door)
        else:
            door.close()
    return found

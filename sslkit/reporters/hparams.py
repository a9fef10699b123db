"""Records for TensorBoard's HParams page: a run's hyperparameters, and its end.

The page reads `HParamsPluginData` messages of tensorboard/plugins/hparams. They are
written here field by field, because TensorFlow does not include that package.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import tensorflow as tf
from google.protobuf import struct_pb2

from sslkit.reporter import Setting

_START, _END = "_hparams_/session_start_info", "_hparams_/session_end_info"
# Field numbers of plugin_data.proto and api.proto.
_SESSION_START, _SESSION_END = 3, 4
_HPARAMS, _START_TIME = 1, 5
_STATUS, _END_TIME = 1, 2
_SUCCESS = 1


def begin(settings: Mapping[str, Setting], time: float) -> tf.compat.v1.Summary.Value:
    """Returns the record that a run with some hyperparameters has begun.

    Args:
        settings: name -> a number, string or boolean.
        time: seconds since 1970.
    """
    entries = b"".join(
        _bytes(_HPARAMS, _bytes(1, name.encode()) + _bytes(2, _value(value)))
        for name, value in sorted(settings.items())
    )
    return _summary(_START, _SESSION_START, entries + _double(_START_TIME, time))


def end(time: float) -> tf.compat.v1.Summary.Value:
    """Returns the record that the run has succeeded; time in seconds since 1970."""
    status = bytes([_STATUS << 3, _SUCCESS])
    return _summary(_END, _SESSION_END, status + _double(_END_TIME, time))


def _value(setting: Setting) -> bytes:
    value = struct_pb2.Value()
    if isinstance(setting, bool):
        value.bool_value = setting
    elif isinstance(setting, int | float):
        value.number_value = setting
    else:
        value.string_value = setting
    return value.SerializeToString()


def _bytes(field: int, content: bytes) -> bytes:
    """Returns a field of the wire type LEN."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes([field << 3 | 2]) + bytes(length) + content


def _double(field: int, number: float) -> bytes:
    return bytes([field << 3 | 1]) + struct.pack("<d", number)


def _summary(tag: str, field: int, content: bytes) -> tf.compat.v1.Summary.Value:
    value = tf.compat.v1.Summary.Value(tag=tag)
    # The page reads only the metadata, but a value is required.
    value.tensor.CopyFrom(tf.make_tensor_proto([], tf.float32, shape=[0]))
    value.metadata.plugin_data.plugin_name = "hparams"
    value.metadata.plugin_data.content = _bytes(field, content)
    return value

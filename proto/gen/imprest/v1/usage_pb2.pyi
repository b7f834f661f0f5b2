import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.type import decimal_pb2 as _decimal_pb2
from google.type import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UsageLine(_message.Message):
    __slots__ = ("line_id", "meter", "provider", "model", "quantity", "destination", "operation", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    line_id: str
    meter: str
    provider: str
    model: str
    quantity: _decimal_pb2.Decimal
    destination: str
    operation: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, line_id: _Optional[str] = ..., meter: _Optional[str] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ..., quantity: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., destination: _Optional[str] = ..., operation: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class UsageReport(_message.Message):
    __slots__ = ("lines", "start_time", "end_time", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LINES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[UsageLine]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    def __init__(self, lines: _Optional[_Iterable[_Union[UsageLine, _Mapping]]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RatedLine(_message.Message):
    __slots__ = ("line", "price", "cost", "exact_price", "exact_cost", "price_version", "cost_version", "match", "duplicate")
    LINE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    EXACT_PRICE_FIELD_NUMBER: _ClassVar[int]
    EXACT_COST_FIELD_NUMBER: _ClassVar[int]
    PRICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    COST_VERSION_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    line: UsageLine
    price: _money_pb2.Money
    cost: _money_pb2.Money
    exact_price: _decimal_pb2.Decimal
    exact_cost: _decimal_pb2.Decimal
    price_version: str
    cost_version: str
    match: str
    duplicate: bool
    def __init__(self, line: _Optional[_Union[UsageLine, _Mapping]] = ..., price: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., cost: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., exact_price: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., exact_cost: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., price_version: _Optional[str] = ..., cost_version: _Optional[str] = ..., match: _Optional[str] = ..., duplicate: bool = ...) -> None: ...

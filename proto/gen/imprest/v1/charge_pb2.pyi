from google.type import money_pb2 as _money_pb2
from imprest.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChargeBreakdown(_message.Message):
    __slots__ = ("charged", "from_hold", "from_available", "receivable", "absorbed", "provider_cost", "lines")
    CHARGED_FIELD_NUMBER: _ClassVar[int]
    FROM_HOLD_FIELD_NUMBER: _ClassVar[int]
    FROM_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    RECEIVABLE_FIELD_NUMBER: _ClassVar[int]
    ABSORBED_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_COST_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    charged: _money_pb2.Money
    from_hold: _money_pb2.Money
    from_available: _money_pb2.Money
    receivable: _money_pb2.Money
    absorbed: _money_pb2.Money
    provider_cost: _money_pb2.Money
    lines: _containers.RepeatedCompositeFieldContainer[_usage_pb2.RatedLine]
    def __init__(self, charged: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., from_hold: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., from_available: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., receivable: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., absorbed: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., provider_cost: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., lines: _Optional[_Iterable[_Union[_usage_pb2.RatedLine, _Mapping]]] = ...) -> None: ...

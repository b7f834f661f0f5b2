import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.type import money_pb2 as _money_pb2
from imprest.v1 import balance_pb2 as _balance_pb2
from imprest.v1 import charge_pb2 as _charge_pb2
from imprest.v1 import transaction_pb2 as _transaction_pb2
from imprest.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrueUpCostRequest(_message.Message):
    __slots__ = ("transaction_id", "reservation_id", "idempotency_key", "cost", "reason", "lines")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    reservation_id: str
    idempotency_key: str
    cost: _money_pb2.Money
    reason: str
    lines: _containers.RepeatedCompositeFieldContainer[LineCost]
    def __init__(self, transaction_id: _Optional[str] = ..., reservation_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., cost: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., reason: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[LineCost, _Mapping]]] = ...) -> None: ...

class LineCost(_message.Message):
    __slots__ = ("line_id", "cost")
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    line_id: str
    cost: _money_pb2.Money
    def __init__(self, line_id: _Optional[str] = ..., cost: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

class TrueUpCostResponse(_message.Message):
    __slots__ = ("transaction", "balance", "difference", "replayed")
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transaction: _transaction_pb2.Transaction
    balance: _balance_pb2.Balance
    difference: _money_pb2.Money
    replayed: bool
    def __init__(self, transaction: _Optional[_Union[_transaction_pb2.Transaction, _Mapping]] = ..., balance: _Optional[_Union[_balance_pb2.Balance, _Mapping]] = ..., difference: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class RecordUsageRequest(_message.Message):
    __slots__ = ("account_id", "idempotency_key", "call_id", "amount", "usage", "effective_time", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    idempotency_key: str
    call_id: str
    amount: _money_pb2.Money
    usage: _usage_pb2.UsageReport
    effective_time: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    def __init__(self, account_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., call_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., usage: _Optional[_Union[_usage_pb2.UsageReport, _Mapping]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RecordUsageResponse(_message.Message):
    __slots__ = ("balance", "charge", "transaction_id", "replayed")
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    balance: _balance_pb2.Balance
    charge: _charge_pb2.ChargeBreakdown
    transaction_id: str
    replayed: bool
    def __init__(self, balance: _Optional[_Union[_balance_pb2.Balance, _Mapping]] = ..., charge: _Optional[_Union[_charge_pb2.ChargeBreakdown, _Mapping]] = ..., transaction_id: _Optional[str] = ..., replayed: bool = ...) -> None: ...

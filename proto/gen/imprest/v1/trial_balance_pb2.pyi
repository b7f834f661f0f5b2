from google.type import money_pb2 as _money_pb2
from imprest.v1 import transaction_pb2 as _transaction_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrialBalance(_message.Message):
    __slots__ = ("currency_code", "lines", "total_debits", "total_credits")
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_DEBITS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_CREDITS_FIELD_NUMBER: _ClassVar[int]
    currency_code: str
    lines: _containers.RepeatedCompositeFieldContainer[TrialBalanceLine]
    total_debits: _money_pb2.Money
    total_credits: _money_pb2.Money
    def __init__(self, currency_code: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[TrialBalanceLine, _Mapping]]] = ..., total_debits: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., total_credits: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

class TrialBalanceLine(_message.Message):
    __slots__ = ("code", "debit_balance", "credit_balance")
    CODE_FIELD_NUMBER: _ClassVar[int]
    DEBIT_BALANCE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_BALANCE_FIELD_NUMBER: _ClassVar[int]
    code: _transaction_pb2.LedgerAccountCode
    debit_balance: _money_pb2.Money
    credit_balance: _money_pb2.Money
    def __init__(self, code: _Optional[_Union[_transaction_pb2.LedgerAccountCode, str]] = ..., debit_balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., credit_balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.type import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransactionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSACTION_KIND_UNSPECIFIED: _ClassVar[TransactionKind]
    TRANSACTION_KIND_COMMIT: _ClassVar[TransactionKind]
    TRANSACTION_KIND_LATE_COMMIT: _ClassVar[TransactionKind]
    TRANSACTION_KIND_EXPIRE: _ClassVar[TransactionKind]
    TRANSACTION_KIND_VOID: _ClassVar[TransactionKind]
    TRANSACTION_KIND_CHARGE: _ClassVar[TransactionKind]
    TRANSACTION_KIND_REFUND: _ClassVar[TransactionKind]
    TRANSACTION_KIND_ADD_CREDIT: _ClassVar[TransactionKind]
    TRANSACTION_KIND_REVERSE_CREDIT: _ClassVar[TransactionKind]
    TRANSACTION_KIND_GRANT_CREDIT: _ClassVar[TransactionKind]
    TRANSACTION_KIND_ADJUST: _ClassVar[TransactionKind]
    TRANSACTION_KIND_WITHDRAW: _ClassVar[TransactionKind]
    TRANSACTION_KIND_TRANSFER_OUT: _ClassVar[TransactionKind]
    TRANSACTION_KIND_TRANSFER_IN: _ClassVar[TransactionKind]
    TRANSACTION_KIND_UPDATE_ACCOUNT: _ClassVar[TransactionKind]
    TRANSACTION_KIND_CLOSE: _ClassVar[TransactionKind]
    TRANSACTION_KIND_USAGE: _ClassVar[TransactionKind]
    TRANSACTION_KIND_TRUE_UP: _ClassVar[TransactionKind]
    TRANSACTION_KIND_RERATE: _ClassVar[TransactionKind]

class LedgerAccountCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEDGER_ACCOUNT_CODE_UNSPECIFIED: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_CASH: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_RECEIVABLE: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_PROVIDER_COST: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_FEE_COST: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_REFUNDS: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_PROMOTION_COST: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_ADJUSTMENTS: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_OVERRUN_LOSS: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_WALLET: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_REVENUE: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_PROVIDER_PAYABLE: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_FEE_PAYABLE: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_BREAKAGE: _ClassVar[LedgerAccountCode]
    LEDGER_ACCOUNT_CODE_CLEARING: _ClassVar[LedgerAccountCode]
TRANSACTION_KIND_UNSPECIFIED: TransactionKind
TRANSACTION_KIND_COMMIT: TransactionKind
TRANSACTION_KIND_LATE_COMMIT: TransactionKind
TRANSACTION_KIND_EXPIRE: TransactionKind
TRANSACTION_KIND_VOID: TransactionKind
TRANSACTION_KIND_CHARGE: TransactionKind
TRANSACTION_KIND_REFUND: TransactionKind
TRANSACTION_KIND_ADD_CREDIT: TransactionKind
TRANSACTION_KIND_REVERSE_CREDIT: TransactionKind
TRANSACTION_KIND_GRANT_CREDIT: TransactionKind
TRANSACTION_KIND_ADJUST: TransactionKind
TRANSACTION_KIND_WITHDRAW: TransactionKind
TRANSACTION_KIND_TRANSFER_OUT: TransactionKind
TRANSACTION_KIND_TRANSFER_IN: TransactionKind
TRANSACTION_KIND_UPDATE_ACCOUNT: TransactionKind
TRANSACTION_KIND_CLOSE: TransactionKind
TRANSACTION_KIND_USAGE: TransactionKind
TRANSACTION_KIND_TRUE_UP: TransactionKind
TRANSACTION_KIND_RERATE: TransactionKind
LEDGER_ACCOUNT_CODE_UNSPECIFIED: LedgerAccountCode
LEDGER_ACCOUNT_CODE_CASH: LedgerAccountCode
LEDGER_ACCOUNT_CODE_RECEIVABLE: LedgerAccountCode
LEDGER_ACCOUNT_CODE_PROVIDER_COST: LedgerAccountCode
LEDGER_ACCOUNT_CODE_FEE_COST: LedgerAccountCode
LEDGER_ACCOUNT_CODE_REFUNDS: LedgerAccountCode
LEDGER_ACCOUNT_CODE_PROMOTION_COST: LedgerAccountCode
LEDGER_ACCOUNT_CODE_ADJUSTMENTS: LedgerAccountCode
LEDGER_ACCOUNT_CODE_OVERRUN_LOSS: LedgerAccountCode
LEDGER_ACCOUNT_CODE_WALLET: LedgerAccountCode
LEDGER_ACCOUNT_CODE_REVENUE: LedgerAccountCode
LEDGER_ACCOUNT_CODE_PROVIDER_PAYABLE: LedgerAccountCode
LEDGER_ACCOUNT_CODE_FEE_PAYABLE: LedgerAccountCode
LEDGER_ACCOUNT_CODE_BREAKAGE: LedgerAccountCode
LEDGER_ACCOUNT_CODE_CLEARING: LedgerAccountCode

class Transaction(_message.Message):
    __slots__ = ("transaction_id", "account_id", "seq", "kind", "postings", "wallet_after", "reservation_id", "call_id", "reason", "external_reference", "labels", "effective_time", "create_time", "chain_hash")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    POSTINGS_FIELD_NUMBER: _ClassVar[int]
    WALLET_AFTER_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CHAIN_HASH_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    account_id: str
    seq: int
    kind: TransactionKind
    postings: _containers.RepeatedCompositeFieldContainer[Posting]
    wallet_after: _money_pb2.Money
    reservation_id: str
    call_id: str
    reason: str
    external_reference: str
    labels: _containers.ScalarMap[str, str]
    effective_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    chain_hash: bytes
    def __init__(self, transaction_id: _Optional[str] = ..., account_id: _Optional[str] = ..., seq: _Optional[int] = ..., kind: _Optional[_Union[TransactionKind, str]] = ..., postings: _Optional[_Iterable[_Union[Posting, _Mapping]]] = ..., wallet_after: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., reservation_id: _Optional[str] = ..., call_id: _Optional[str] = ..., reason: _Optional[str] = ..., external_reference: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., chain_hash: _Optional[bytes] = ...) -> None: ...

class Posting(_message.Message):
    __slots__ = ("debit", "credit", "amount")
    DEBIT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    debit: LedgerAccountCode
    credit: LedgerAccountCode
    amount: _money_pb2.Money
    def __init__(self, debit: _Optional[_Union[LedgerAccountCode, str]] = ..., credit: _Optional[_Union[LedgerAccountCode, str]] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

class RefundAllocation(_message.Message):
    __slots__ = ("captured_transaction_id", "refund_transaction_id", "amount", "provider_cost")
    CAPTURED_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    REFUND_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_COST_FIELD_NUMBER: _ClassVar[int]
    captured_transaction_id: str
    refund_transaction_id: str
    amount: _money_pb2.Money
    provider_cost: _money_pb2.Money
    def __init__(self, captured_transaction_id: _Optional[str] = ..., refund_transaction_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., provider_cost: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...
